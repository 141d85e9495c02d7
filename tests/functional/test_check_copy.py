"""What the page says while the source is silent, and of a copy that somebody has."""

import itertools
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.conftest import Portal, running, until
from tests.functional.firefox import FIREFOX
from tests.functional.firefox import running as in_firefox
from tests.functional.origin import Connection, Origin, Request, head, length, replying
from tests.functional.test_accessibility import faults_here

__all__ = ["browser", "complaints", "page"]

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20
DATA = random.Random(1).randbytes(20 * MEGABYTE)


@pytest.fixture(scope="module")
def portal(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One that waits for longer than it takes to read and to press a button."""
    with running(tmp_path_factory.mktemp("patient"), origin, SPILLWAY_HEAD_TIMEOUT="30") as made:
        yield made


def flipped(data: bytes) -> bytes:
    at = 9 * MEGABYTE
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_a_copy_is_held_against_what_was_sent(portal: Portal, page: Page, tmp_path: Path) -> None:
    sign_in(page)
    case = portal.origin.on(replying(length(DATA, 'ETag: "copy"', "Accept-Ranges: bytes")))
    page.goto(f"/exports/plain/?case={case.name}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    expect(page.get_by_role("heading", name="Everything was sent")).to_be_visible()
    saved = tmp_path / "saved"
    download.value.save_as(saved)
    numbers = itertools.count()
    box, told = page.locator("#check"), page.locator("#check output")

    def choose(data: bytes) -> None:
        # A browser takes the same name for no change.
        file = tmp_path / f"copy{next(numbers)}"
        file.write_bytes(data)
        page.get_by_label("Choose the file").set_input_files(file)

    choose(saved.read_bytes())
    expect(told).to_contain_text("Your copy is whole: all 21.0 MB of it")
    choose(flipped(DATA))
    expect(told).to_contain_text("Your copy is damaged")
    expect(told).to_contain_text("between byte 8,388,608 and byte 16,777,215")
    choose(DATA[: 17 * MEGABYTE])
    expect(told).to_contain_text("too short: it has 17.8 MB of 21.0 MB")
    expect(told).to_contain_text("What is there is right")
    choose(flipped(DATA)[: 17 * MEGABYTE])
    expect(told).to_contain_text("too short")
    expect(told).to_contain_text("damaged")
    choose(DATA + b"x" * 1000)
    expect(told).to_contain_text("too long: it goes on for 1 kB")
    choose(random.Random(2).randbytes(len(DATA)))
    expect(told).to_contain_text("another file")
    assert not faults_here(page)

    page.reload()
    expect(box).to_be_visible()
    choose(DATA)
    expect(told).to_contain_text("Your copy is whole")


@pytest.mark.skipif(FIREFOX is None, reason="needs the program firefox-esr")
def test_while_the_source_is_silent_the_page_says_so_and_cancels(
    portal: Portal, tmp_path: Path
) -> None:
    """In Firefox: with Playwright, everything waits for as long as the browser does."""
    left = threading.Event()

    def silent(_: Request, connection: Connection) -> None:
        connection.wait_for_peer_to_leave()
        left.set()

    with in_firefox(tmp_path, f"http://127.0.0.1:{portal.port}") as window:
        window.sign_in("ann", "tests-only")
        window.goto(f"/exports/plain/?case={portal.origin.on(silent).name}")
        window.run("document.getElementById('download').click()")

        assert window.sees("Waiting for the source", "#progress h2")
        window.run("document.querySelector('#progress button').focus()")
        shown = window.text("#progress h2")
        assert until(lambda: window.text("#progress h2") != shown, 10), "the seconds stand still"
        focused = "return document.activeElement.textContent"
        assert window.run(focused) == "Cancel", "the focus was lost"
        window.run("document.activeElement.click()")

        assert left.wait(10), "the source is still asked"
        assert window.sees("Ended at your side", "[role=alert]")


def test_a_cut_names_the_command_that_fetches_the_rest(portal: Portal, page: Page) -> None:
    def cut(request: Request, connection: Connection) -> None:
        if request.values("range"):
            connection.sock.close()
            return
        connection.send(head(f"Content-Length: {len(DATA)}", 'ETag: "v"', "Accept-Ranges: bytes"))
        connection.send(DATA[: 4 * MEGABYTE])
        connection.reset()

    sign_in(page)
    page.goto(f"/exports/plain/?case={portal.origin.on(cut).name}")
    with page.expect_download():
        page.get_by_role("link", name="Download").click()

    alert = page.get_by_role("alert").first
    # The portal tries to have the rest first.
    expect(alert).to_contain_text("Cut off: the file is not complete", timeout=30_000)
    expect(alert.locator("pre")).to_contain_text("--continue-at -")
    # So does the browser's list, within seconds, and that is no download of its own.
    page.wait_for_timeout(3000)
    expect(page.get_by_role("alert").filter(has_text="It did not start")).to_have_count(0)
    assert not faults_here(page)
    page.close()
