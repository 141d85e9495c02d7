"""The same ends of downloads, in Firefox, which resumes nothing by itself."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import axe_playwright_python
import pytest

from tests.functional.conftest import Portal
from tests.functional.firefox import FIREFOX, Firefox, running
from tests.functional.origin import Script, length, replying
from tests.functional.test_browser_ends import (
    DATA,
    broken_at_once,
    cut_at,
    cut_once,
    stalling,
    unknown_size,
)
from tests.functional.test_check_copy import DATA as COPY
from tests.functional.test_check_copy import flipped

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FIREFOX is None, reason="needs the program firefox-esr"),
]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
SCHEME = "layout.css.prefers-color-scheme.content-override"
DARK, LIGHT = 0, 1


@pytest.fixture(scope="module")
def firefox(portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    base = f"http://127.0.0.1:{portal.port}"
    with running(tmp_path_factory.mktemp("firefox"), base) as window:
        window.sign_in("ann", "tests-only")
        yield window


def begin(firefox: Firefox, portal: Portal, script: Script, slug: str = "plain") -> None:
    firefox.goto(f"/exports/{slug}/?case={portal.origin.on(script).name}")
    firefox.download("#download")


def faults(firefox: Firefox) -> list[str]:
    """What axe finds in either theme."""
    found = []
    for scheme in (DARK, LIGHT):
        firefox.set(SCHEME, scheme)
        firefox.run(f"window.eval = undefined; {AXE}; window.axe = axe;")
        rows = firefox.run_until_done(
            "const done = arguments[0]; axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', "
            "'wcag22aa', 'best-practice']}).then((all) => done(all.violations.map("
            "(one) => one.id + ' ' + one.nodes[0].html)), (error) => done([String(error)]));"
        )
        found += [f"{row} ({scheme})" for row in rows]
    return found


def test_a_download_that_is_cut_once_is_whole(firefox: Firefox, portal: Portal) -> None:
    begin(firefox, portal, cut_once)

    saved = firefox.downloaded()

    assert saved is not None
    assert hashlib.sha256(saved.read_bytes()).digest() == hashlib.sha256(DATA).digest()
    assert firefox.sees("Everything was sent")
    assert firefox.sees("by length")
    assert faults(firefox) == []


@pytest.mark.parametrize("part", [0.01, 0.6, 0.999])
def test_one_that_is_cut_for_good_never_looks_whole(
    firefox: Firefox, portal: Portal, part: float
) -> None:
    begin(firefox, portal, cut_at(part))

    assert firefox.sees("Cut off: the file is not complete", "#progress .bad")
    assert firefox.downloaded() is None, "the browser took a part for the whole"
    assert "Everything was sent" not in firefox.text("#progress")
    assert faults(firefox) == []


def test_one_that_breaks_before_its_first_byte_is_a_page_that_says_so(
    firefox: Firefox, portal: Portal
) -> None:
    begin(firefox, portal, broken_at_once)

    assert firefox.sees("origin_broken", "[role=alert]")
    assert faults(firefox) == []


def test_one_that_stalls_is_told_to_have(firefox: Firefox, portal: Portal) -> None:
    begin(firefox, portal, stalling)

    assert firefox.sees("fell silent in the middle", "#progress .bad")
    assert firefox.downloaded() is None


def test_one_of_unknown_size_shows_what_it_can(firefox: Firefox, portal: Portal) -> None:
    begin(firefox, portal, unknown_size)

    assert firefox.sees("unknown size", "#progress")
    saved = firefox.downloaded()
    assert saved is not None
    assert saved.read_bytes() == DATA
    assert firefox.sees("not provable", "#progress")


def test_a_copy_is_held_against_what_was_sent(
    firefox: Firefox, portal: Portal, tmp_path: Path
) -> None:
    begin(firefox, portal, replying(length(COPY, 'ETag: "copy"', "Accept-Ranges: bytes")))
    assert firefox.sees("Everything was sent")
    copies = {
        "Your copy is whole": COPY,
        "too short": COPY[:-1],
        "too long": COPY + b"x",
        "Your copy is damaged": flipped(COPY),
        "This is another file": bytes(len(COPY)),
    }

    for told, data in copies.items():
        file = tmp_path / told.replace(" ", "-")
        file.write_bytes(data)
        firefox.type("#copy", str(file))
        assert firefox.sees(told, "#check output"), firefox.text("#check")
    assert faults(firefox) == []


def test_without_javascript_what_was_chosen_is_fetched(firefox: Firefox, portal: Portal) -> None:
    case = portal.origin.on(cut_once)
    firefox.set("javascript.enabled", False)
    try:
        firefox.goto("/exports/chosen/")
        firefox.type("#id_case", case.name)
        firefox.type("#id_since", "2026-01-31")
        firefox.click("main form button")
        firefox.download("#download")
        saved = firefox.downloaded()
    finally:
        firefox.set("javascript.enabled", True)

    assert saved is not None
    assert saved.read_bytes() == DATA
    assert case.requests[0].target.endswith("&since=2026-01-31&form=csv")
