"""Several exports as one zip, as somebody fetches it in a browser."""

import itertools
import random
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from streams.wire.zips import Writer, crc32
from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.conftest import Portal, until
from tests.functional.origin import (
    Case,
    Connection,
    Request,
    Script,
    chunks,
    head,
)
from tests.functional.test_accessibility import faults, faults_here
from tests.functional.test_zip import CSV, whole

__all__ = ["browser", "complaints", "page"]

pytestmark = pytest.mark.slow
SIZE = 4 << 20


@pytest.fixture
def bare(portal: Portal) -> Any:
    """What the source sends of exports whose address names no case."""
    before = portal.origin.stray.script
    portal.origin.stray.script = whole(CSV, "Content-Type: text/csv")
    yield portal.origin.stray
    portal.origin.stray.script = before


def test_the_way_to_it_by_keyboard_pleases_axe(portal: Portal, bare: Case, page: Page) -> None:
    sign_in(page)
    for title in ("Plain", "Open"):
        page.get_by_role("checkbox", name=f"Into one zip: {title}", exact=True).focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="One zip …").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Several exports as one zip")).to_be_visible()
    expect(page.get_by_text("A zip cannot be resumed")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download exports-").press("Enter")

    with zipfile.ZipFile(download.value.path()) as held:
        assert sorted(held.namelist()) == ["manifest.json", "open.csv", "plain.csv"]
        assert held.testzip() is None
    expect(page.get_by_role("heading", name="Everything was sent")).to_be_visible()
    assert not faults_here(page)
    page.reload()
    expect(page.get_by_role("heading", name="Your last zips")).to_be_visible()
    found = faults(page, ["/", page.url, "/downloads/"])
    assert not found, "\n".join(found)


def test_one_that_is_cut_never_looks_whole_and_is_not_asked_for_over_and_over(
    portal: Portal, bare: Case, page: Page
) -> None:
    def cut(request: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {SIZE}"))
        if request.method == "GET":
            connection.send(bytes(SIZE // 2))
            time.sleep(0.5)
            connection.reset()

    case = portal.origin.on(cut)
    sign_in(page)
    page.goto(f"/zip/?export=plain&export=plain%3Fcase%3D{case.name}")
    button = page.get_by_role("link", name="Download exports-")

    with page.expect_download() as download:
        button.click()

    assert download.value.failure() is not None
    alert = page.get_by_role("alert").first
    expect(alert).to_contain_text("Cut off: the file is not complete")
    expect(alert).to_contain_text("1 of 2 were sent; it ended at plain.")
    expect(alert).to_contain_text("The source stopped before the end of the file.")
    assert not faults_here(page)
    # Chromium would have asked again by now; a person still may.
    page.wait_for_timeout(3000)
    assert [request.method for request in case.requests] == ["HEAD", "GET"]
    with page.expect_download():
        button.click()
    assert until(lambda: len(case.requests) == 4)


def test_without_javascript_it_arrives(portal: Portal, bare: Case, browser: Browser) -> None:
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{portal.port}", java_script_enabled=False
    )
    window = context.new_page()
    sign_in(window)
    for title in ("Plain", "Named"):
        window.get_by_label(f"Into one zip: {title}", exact=True).check()
    window.get_by_role("button", name="One zip …").click()

    with window.expect_download() as download:
        window.get_by_role("link", name="Download exports-").click()

    with zipfile.ZipFile(download.value.path()) as held:
        assert len(held.namelist()) == 3

    def told() -> bool:
        # Nothing updates it, and records are written a moment later.
        window.get_by_role("link", name="Show progress").click()
        return window.get_by_role("cell", name="complete").count() > 0

    assert until(told)
    context.close()


def unsized(data: bytes) -> Script:
    def script(request: Request, connection: Connection) -> None:
        connection.send(head("Transfer-Encoding: chunked"))
        if request.method == "GET":
            connection.send(chunks(data))
        connection.sock.close()

    return script


FILES = {"plain": random.Random(3).randbytes(9_000_000), "open": random.Random(4).randbytes(70_000)}


@pytest.mark.parametrize("known", [True, False], ids=["of known length", "in chunks"])
def test_a_copy_of_a_zip_is_held_against_what_was_sent(
    portal: Portal, page: Page, tmp_path: Path, known: bool
) -> None:
    def sending(data: bytes) -> Script:
        return whole(data) if known else unsized(data)

    cases = {slug: portal.origin.on(sending(data)).name for slug, data in FILES.items()}
    sign_in(page)
    picked = [("export", f"{slug}?case={case}") for slug, case in cases.items()]
    page.goto(f"/zip/?{urlencode(picked)}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download exports-").click()
    expect(page.get_by_role("heading", name="Everything was sent")).to_be_visible()
    saved = tmp_path / "saved.zip"
    download.value.save_as(saved)
    copy, told, numbers = saved.read_bytes(), page.locator("#check output"), itertools.count()
    chosen = page.get_by_label("Choose the file")
    with zipfile.ZipFile(saved) as held:
        assert held.testzip() is None
        manifest = held.getinfo("manifest.json").header_offset
        entry = held.start_dir

    def verdict(data: bytes, *sentences: str) -> None:
        file = tmp_path / f"copy{next(numbers)}"
        file.write_bytes(data)
        # Of the one before, nothing is left to be taken for this one's.
        told.evaluate("output => output.textContent = ''")
        chosen.set_input_files(file)
        for sentence in sentences:
            expect(told).to_contain_text(sentence)
        expect(chosen).to_be_enabled()

    def flipped(at: int) -> bytes:
        return copy[:at] + bytes([copy[at] ^ 1]) + copy[at + 1 :]

    verdict(copy, "Your copy is whole: all 9.1 MB of it")
    # In a file's bytes; then wherever else a byte may stand: heads, names, times, checksums.
    verdict(flipped(8_500_000), "Your copy is damaged", "between byte 8,38")
    places = [*range(45), manifest - 1, manifest + 11, manifest + 60, manifest + 400]
    places += [entry - 1, entry - 16, entry, entry + 13, entry + 17, entry + 42, len(copy) - 20]
    for at in places[::4] if known else places[::9]:
        verdict(flipped(at), "Your copy is damaged")
    for left in (8_000_000, manifest + 100, entry - 3, entry + 10, len(copy) - 1):
        verdict(copy[:left], "too short: it ends after", "a zip cannot be resumed: start again")
    verdict(flipped(5)[:8_500_000], "damaged", "too short")
    verdict(copy + b"x" * 1000, "too long: it goes on for 1 kB", "which has 9.1 MB")
    verdict(random.Random(5).randbytes(len(copy)), "another file")
    verdict(b"hello", "too short")
    assert not faults_here(page)

    page.reload()
    expect(page.locator("#check")).to_be_visible()
    verdict(copy, "Your copy is whole")


# Of a file of which only some bytes are there; between them there are none that anybody reads.
SPARSE = """async ([segments, size, members]) => {
    const { pieces } = await import("/static/spillway/zips.js");
    const file = { size, slice(from, to) {
        const read = new Uint8Array(Math.min(to, size) - from);
        for (const [at, bytes] of segments) bytes.forEach((byte, n) => {
            if (at + n >= from && at + n < from + read.length) read[at + n - from] = byte;
        });
        return new Blob([read]);
    } };
    const found = [];
    for await (const piece of pieces(file, { members }, async function* () {})) found.push(piece);
    return found;
}"""


def test_a_zip_of_many_gigabytes_is_taken_apart_in_a_browser(portal: Portal, page: Page) -> None:
    writer, now, at = Writer(), datetime(2026, 11, 26, 9, 30, 4, tzinfo=UTC), 0
    segments: list[tuple[int, list[int]]] = []
    members = [("big.bin", 5_000_000_000), ("small.csv", 7), ("manifest.json", 2)]
    for name, size in members:
        data = b"{}" if name == "manifest.json" else b""
        before = writer.begin(name, size, now) + data
        after = writer.end(size, crc32(data))
        segments += [(at, [*before]), (at + len(before) - len(data) + size, [*after])]
        at += len(before) - len(data) + size + len(after)
    segments.append((at, [*writer.finish()]))
    length = at + len(segments[-1][1])
    told = [{"name": name, "size": size} for name, size in members[:-1]]
    page.goto("/accounts/login/")

    right = page.evaluate(SPARSE, [segments, length, told])
    segments[-1][1][-30] ^= 1
    wrong = page.evaluate(SPARSE, [segments, length, told])

    assert [piece["same"] for piece in right] == [True] * 7
    assert right[-1]["to"] == length
    assert [piece["same"] for piece in wrong] == [True] * 6 + [False]
