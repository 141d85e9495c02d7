"""The site of the documentation: it needs nothing from outside, and finds what it is asked for."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.docs.samples import ROOT
from tests.functional.browsing import browser

__all__ = ["browser"]

pytestmark = pytest.mark.slow

SPHINX = ROOT / ".venv" / "docs" / "bin" / "sphinx-build"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not SPHINX.exists():
        pytest.skip("needs what `make docs` installs")
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [SPHINX, "--quiet", "--fail-on-warning", "-c", "docs", ".", folder],
        cwd=ROOT, check=True, timeout=100,
    )  # fmt: skip
    return folder


def loads(folder: Path) -> Iterator[str]:
    """Whatever a page or a style sheet fetches without being asked to."""
    for path in folder.rglob("*.html"):
        for tag in re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", path.read_text()):
            yield from re.findall(r'(?:src|href)="([^"]*)"', tag)
    for path in folder.rglob("*.css"):
        text = path.read_text()
        yield from re.findall(r"url\(['\"]?([^'\")]+)", text)
        yield from re.findall(r"@import\s+['\"]([^'\"]+)", text)


def test_nothing_is_fetched_from_outside(site: Path) -> None:
    found = list(loads(site))

    assert len(found) > 500
    assert {one for one in found if urlsplit(one).netloc or urlsplit(one).scheme == "http"} == set()


def test_a_search_finds_its_page_from_the_disk_alone(site: Path, browser: Browser) -> None:
    asked: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"file://{site}/index.html")
    page.get_by_role("textbox", name="Search").fill("SPILLWAY_DRAIN_TIMEOUT")
    page.keyboard.press("Enter")
    page.get_by_role("main").get_by_role("link", name="Settings").first.click()

    assert page.get_by_role("heading", name="Settings").first.is_visible()
    assert {urlsplit(one).scheme for one in asked} <= {"file", "data"}
