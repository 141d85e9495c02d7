"""What people see, in a real Chromium in front of the real server."""

import hashlib
import os
import random
import subprocess
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from streams.templatetags.units import size
from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.conftest import Portal
from tests.functional.origin import Connection, Request, Script, head
from tests.functional.test_ranges import DATA, ranged

MEGABYTE = 1 << 20
__all__ = ["browser", "complaints", "page"]
pytestmark = pytest.mark.slow


def slow(total: int, *, stop_at: int | None = None, pause: float = 0.1) -> Script:
    """`total` bytes in pieces of 1 MiB, and a reset at `stop_at`."""

    def script(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {total}", 'ETag: "v1"', "Accept-Ranges: bytes"))
        for start in range(0, stop_at or total, MEGABYTE):
            connection.send(b"x" * min(MEGABYTE, (stop_at or total) - start))
            time.sleep(pause)
        if stop_at is not None:
            connection.reset()

    return script


def test_the_way_to_a_file_by_keyboard_alone(portal: Portal, page: Page) -> None:
    case = portal.origin.on(slow(3 * MEGABYTE))

    page.goto(f"/exports/plain/?case={case.name}")
    expect(page.get_by_label("User name")).to_be_focused()
    page.keyboard.type("ann")
    page.keyboard.press("Tab")
    page.keyboard.type("tests-only")
    page.keyboard.press("Enter")
    button = page.locator("#download")
    expect(button).to_be_visible()
    for _ in range(10):
        if button.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(button).to_be_focused()
    with page.expect_download() as download:
        page.keyboard.press("Enter")

    path = download.value.path()
    assert (
        hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(b"x" * 3 * MEGABYTE).digest()
    )
    expect(page.get_by_role("heading", name="Everything was sent")).to_be_visible()


def test_progress_is_shown_while_it_runs_and_then_the_end(portal: Portal, page: Page) -> None:
    sign_in(page)
    case = portal.origin.on(slow(40 * MEGABYTE))
    page.goto(f"/exports/named/?case={case.name}")

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    bar = page.get_by_role("progressbar")
    expect(bar).to_be_visible()
    # Read in one step, so that the panel cannot change between its parts.
    look = """() => { const panel = document.querySelector("#progress .running");
        return panel && [panel.querySelector("progress")?.value, panel.innerText]; }"""
    shown = []
    while seen := page.evaluate(look):
        shown.append(seen)
        time.sleep(0.3)

    values = [value for value, _ in shown if value is not None]
    assert values == sorted(values)
    assert len(set(values)) > 2, "the bar did not move"
    assert any("MB/s" in text and "left" in text for _, text in shown), shown
    expect(page.get_by_role("heading", name="Everything was sent")).to_be_visible()
    expect(page.locator("#progress")).to_contain_text("by length")
    expect(page.locator("#announce")).to_contain_text("100 %")
    assert download.value.suggested_filename.startswith("r")
    assert download.value.path().stat().st_size == 40 * MEGABYTE


def test_of_a_range_the_page_does_not_say_that_everything_was_sent(
    portal: Portal, page: Page
) -> None:
    sign_in(page)
    page.goto("/exports/plain/")

    # Of a program of the same user, while the page is open.
    assert portal.get(ranged, "Range: bytes=10-19").status == 206

    heading = page.get_by_role("heading", name="The part that was asked for was sent")
    expect(heading).to_be_visible(timeout=10_000)
    expect(page.locator("#progress")).to_contain_text(f"10 B of {size(len(DATA))}, from 10 B on")
    expect(page.locator("#progress")).not_to_contain_text("by length")
    expect(page.get_by_role("heading", name="Everything was sent")).not_to_be_visible()


def test_a_cut_is_seen_by_the_browser_and_told_by_the_page(portal: Portal, page: Page) -> None:
    sign_in(page)
    case = portal.origin.on(slow(20 * MEGABYTE, stop_at=5 * MEGABYTE))
    page.goto(f"/exports/plain/?case={case.name}")

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()

    assert download.value.failure() is not None, "the browser took a part for the whole"
    # Chromium tries again twice by itself.
    alert = page.get_by_role("alert").first
    expect(alert).to_contain_text("Cut off: the file is not complete")
    expect(alert).to_contain_text("5.2 MB of 21.0 MB")
    expect(alert).to_contain_text("Resume it")
    expect(alert).to_contain_text("Download id")
    page.reload()
    expect(page.get_by_role("row", name="cut").first).to_be_visible()


def test_a_download_that_is_stopped_in_the_browser_is_told(portal: Portal, page: Page) -> None:
    sign_in(page)
    case = portal.origin.on(slow(400 * MEGABYTE))
    page.goto(f"/exports/plain/?case={case.name}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    expect(page.get_by_role("progressbar")).to_be_visible()

    download.value.cancel()

    expect(page.get_by_role("alert")).to_contain_text("Ended at your side")
    assert case.left.wait(5)


def test_the_command_of_the_page_fetches_and_resumes(
    portal: Portal, page: Page, tmp_path: Path
) -> None:
    data = random.Random(1).randbytes(5 * MEGABYTE)

    def script(request: Request, connection: Connection) -> None:
        # Without a strong ETag the portal does not resume by itself, so that curl has to.
        asked = request.values("range")
        start = int(asked[0].removeprefix("bytes=").partition("-")[0]) if asked else 0
        fields = [f"Content-Length: {len(data) - start}", "Accept-Ranges: bytes"]
        if start:
            fields.append(f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}")
            connection.send(head(*fields, status="206 Partial Content") + data[start:])
        else:
            connection.send(head(*fields) + data[: 2 * MEGABYTE])
            connection.reset()

    sign_in(page)
    page.goto(f"/exports/named/?case={portal.origin.on(script).name}&name=it's%20%22so%22;true")
    command = page.locator("pre code").first.inner_text()

    first, second = (
        subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "TOKEN": portal.token},
            check=False,
        ).returncode
        for _ in range(2)
    )

    assert first in {18, 56}, "curl did not see the cut"
    assert second == 0
    [file] = tmp_path.iterdir()
    assert file.name.startswith("r")
    assert file.read_bytes() == data


def test_a_source_that_fails_at_once_gets_a_page_and_no_file(
    portal: Portal, page: Page, complaints: list[str]
) -> None:
    sign_in(page)

    def refusing(_: Request, connection: Connection) -> None:
        connection.send(head("Content-Length: 0", status="404 Not Found"))

    case = portal.origin.on(refusing)
    page.goto(f"/exports/plain/?case={case.name}")

    page.get_by_role("link", name="Download").click()

    expect(page.get_by_role("alert")).to_contain_text("origin_not_found")
    expect(page.get_by_role("alert")).to_contain_text("Download id")
    page.get_by_role("link", name="All exports").click()
    expect(page.get_by_role("heading", name="Exports")).to_be_visible()
    # The browser itself notes the status of the error page.
    assert all("502" in complaint for complaint in complaints)
    complaints.clear()


def test_without_javascript_the_file_arrives_and_its_end_is_told(
    portal: Portal, browser: Browser, tmp_path: Path
) -> None:
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{portal.port}", java_script_enabled=False
    )
    page = context.new_page()
    sign_in(page)
    case = portal.origin.on(slow(2 * MEGABYTE))
    page.goto(f"/exports/plain/?case={case.name}")

    with page.expect_download() as download:
        page.get_by_role("link", name="Download", exact=False).first.click()

    assert download.value.path().stat().st_size == 2 * MEGABYTE
    time.sleep(1)
    page.get_by_role("link", name="Show progress").click()
    expect(page.get_by_role("row", name="complete").first).to_be_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_window(
    portal: Portal, page: Page, scheme: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto("/accounts/login/")
    paths = ["/", "/exports/plain/", "/accounts/login/"]
    sign_in(page)

    for path in paths:
        page.goto(path)
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, path


def test_operators_pages_load_whole(portal: Portal, page: Page) -> None:
    sign_in(page, "op")

    for path in ("", "streams/endpoint/", "streams/endpoint/add/", "streams/secret/",
                 "streams/secret/1/change/", "streams/download/", "auth/group/",
                 "streams/apitoken/", "streams/user/"):  # fmt: skip
        answer = page.goto(f"/operate/{path}")
        assert answer is not None
        assert answer.status == 200, path
        page.wait_for_load_state("networkidle")
