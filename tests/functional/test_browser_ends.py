"""Every way in which a download may end, as somebody sees it in a browser."""

import hashlib
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.conftest import Portal
from tests.functional.origin import Connection, Request, Script, chunks, head
from tests.functional.test_accessibility import faults_here

__all__ = ["browser", "complaints", "page"]

pytestmark = pytest.mark.slow

SIZE = 8 << 20
DATA = bytes(range(256)) * (SIZE // 256)


def cut_at(part: float) -> Script:
    """Ends there, for good: nothing can be resumed."""

    def script(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {SIZE}") + DATA[: max(1, int(SIZE * part))])
        time.sleep(0.5)
        connection.reset()

    return script


def cut_once(request: Request, connection: Connection) -> None:
    """The portal itself fetches the rest."""
    asked = request.values("range")
    start = int(asked[0].removeprefix("bytes=").split("-")[0]) if asked else 0
    fields = [f"Content-Length: {SIZE - start}", 'ETag: "v1"', "Accept-Ranges: bytes"]
    if start:
        told = f"Content-Range: bytes {start}-{SIZE - 1}/{SIZE}"
        connection.send(head(*fields, told, status="206 Partial Content") + DATA[start:])
        return
    connection.send(head(*fields) + DATA[: SIZE // 2])
    connection.reset()


def broken_at_once(_: Request, connection: Connection) -> None:
    connection.send(head(f"Content-Length: {SIZE}"))
    connection.reset()


def stalling(_: Request, connection: Connection) -> None:
    connection.send(head(f"Content-Length: {SIZE}") + DATA[: SIZE // 2])
    connection.wait_for_peer_to_leave()


def unknown_size(_: Request, connection: Connection) -> None:
    connection.send(head("Transfer-Encoding: chunked"))
    for start in range(0, SIZE, 1 << 20):
        connection.send(chunks(DATA[start : start + (1 << 20)], last=b""))
        time.sleep(1.5)
    connection.send(b"0\r\n\r\n")


def test_a_download_that_is_cut_once_is_whole(portal: Portal, page: Page) -> None:
    sign_in(page)
    page.goto(f"/exports/plain/?case={portal.origin.on(cut_once).name}")

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()

    found = hashlib.sha256(download.value.path().read_bytes()).digest()
    assert found == hashlib.sha256(DATA).digest()
    expect(page.get_by_role("heading", name="Everything was sent")).to_be_visible()
    assert not faults_here(page)


@pytest.mark.parametrize(("part", "told"), [(0.01, "84 kB"), (0.6, "5.0 MB"), (0.999, "8.4 MB")])
def test_one_that_is_cut_for_good_never_looks_whole(
    portal: Portal, page: Page, part: float, told: str
) -> None:
    sign_in(page)
    page.goto(f"/exports/plain/?case={portal.origin.on(cut_at(part)).name}")

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()

    assert download.value.failure() is not None, "the browser took a part for the whole"
    alert = page.get_by_role("alert").first
    expect(alert).to_contain_text("Cut off: the file is not complete", timeout=20_000)
    expect(alert).to_contain_text(told)
    expect(alert).to_contain_text("It cannot be gone on with")
    expect(page.get_by_role("heading", name="Everything was sent")).not_to_be_visible()
    assert not faults_here(page)


def test_one_that_breaks_before_its_first_byte_is_a_page_that_says_so(
    portal: Portal, page: Page, complaints: list[str]
) -> None:
    sign_in(page)
    page.goto(f"/exports/plain/?case={portal.origin.on(broken_at_once).name}")

    page.get_by_role("link", name="Download").click()

    expect(page.get_by_role("alert")).to_contain_text("origin_broken", timeout=20_000)
    assert not faults_here(page)
    # The browser itself notes the status of the error page.
    assert all("502" in complaint for complaint in complaints)
    complaints.clear()


def test_one_that_stalls_is_told_to_have(portal: Portal, page: Page) -> None:
    sign_in(page)
    page.goto(f"/exports/plain/?case={portal.origin.on(stalling).name}")

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()

    assert download.value.failure() is not None
    alert = page.get_by_role("alert").first
    expect(alert).to_contain_text("fell silent in the middle", timeout=20_000)
    expect(alert).to_contain_text("4.2 MB of 8.4 MB")


def test_one_of_unknown_size_shows_what_it_can(portal: Portal, page: Page) -> None:
    sign_in(page)
    page.goto(f"/exports/plain/?case={portal.origin.on(unknown_size).name}")

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    expect(page.locator("#progress .running")).to_contain_text("unknown size")

    assert download.value.path().read_bytes() == DATA
    expect(page.get_by_role("heading", name="Everything was sent")).to_be_visible()
    expect(page.locator("#progress")).to_contain_text("not provable")


def test_the_other_pages_please_axe(portal: Portal, page: Page) -> None:
    sign_in(page)

    for path in ("/downloads/", "/links/", "/exports/shared/share", "/exports/chosen/",
                 "/exports/shared/"):  # fmt: skip
        page.goto(path)
        assert not faults_here(page), path
    page.goto("/exports/shared/share")
    page.get_by_label("Downloads allowed").fill("0")
    page.get_by_role("button", name="Make the link").click()
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    assert not faults_here(page)
    page.get_by_label("Downloads allowed").fill("1")
    page.get_by_role("button", name="Make the link").click()
    expect(page.locator("#link")).to_contain_text("/s/")
    assert not faults_here(page)


def test_what_is_chosen_without_javascript_is_fetched(
    portal: Portal, browser: Browser, tmp_path: Path
) -> None:
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{portal.port}", java_script_enabled=False
    )
    page = context.new_page()
    sign_in(page)
    case = portal.origin.on(cut_once)
    page.goto("/exports/chosen/")
    page.get_by_label("case").fill(case.name)
    page.get_by_role("button", name="Choose").click()
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("Since: This field is required")
    page.get_by_label("Since").fill("2026-01-31")
    page.get_by_role("button", name="Choose").click()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download chosen").click()

    assert download.value.path().read_bytes() == DATA
    assert case.requests[0].target.endswith("&since=2026-01-31&form=csv")
    context.close()
