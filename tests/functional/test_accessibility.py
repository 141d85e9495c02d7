"""axe finds nothing on any page (WCAG 2.2 AA), in both themes, on a desk and on a phone."""

import re
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.conftest import ROOT, Portal

__all__ = ["browser", "complaints", "page"]

AXE = Axe()
RULES = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
    # Of the advice beyond WCAG: Unfold's scrolled parts all have the same name.
    "rules": {"landmark-unique": {"enabled": False}, "empty-table-header": {"enabled": False}},
}
LOOKS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]
# One of each kind, so that lists are not empty.
ROWS = """
from django.utils.timezone import now
from streams.models import Channel, Download, Notice, Rotation, Secret, Setup
secret = Secret.objects.get(name="guard")
old, new = secret.versions.order_by("number")
rotation = Rotation.objects.create(
    secret=secret, old=old, new=new, mode="overlap", state="failed", problem="AWS refuses.",
    finished_at=now(),
)
rotation.events.create(step="preflight", text="AWS refuses.")
channel = Channel.objects.create(name="team", kind="mail", address="team@example.com")
Notice.objects.test(channel, by="op")
Setup.objects.create(
    slug="new", function="new-export", request={}, requested_by="op", state="failed",
    told=["secret: It is made."], undone=["It is gone."], left=["Not done."], finished_at=now(),
    problem="url: AWS refuses.",
)
Download.objects.create(
    slug="plain", username="ann", state="cut", reason="stopped", stopped_by="op",
    stop_reason="It fills the line.", finished_at=now(),
)
"""


def paths_of(page: Page, start: str) -> list[str]:
    """Every page that can be reached by links, one of each kind."""
    found, waiting = {_kind(start): start}, [start]
    while waiting:
        page.goto(waiting.pop())
        for link in page.locator("a[href]:not([download])").all():
            path = urlsplit(str(link.evaluate("link => link.href"))).path
            if path.startswith(start) and _kind(path) not in found:
                found[_kind(path)] = path
                waiting.append(path)
    return sorted(found.values())


def _kind(path: str) -> str:
    return re.sub(r"/\d+/|/[0-9a-f-]{36}/", "/N/", path)


def faults(page: Page, paths: list[str]) -> list[str]:
    """What is wrong and where, each once."""
    found: dict[str, str] = {}
    for path in paths:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        page.wait_for_load_state("networkidle")
        for what, look in faults_here(page).items():
            found.setdefault(what, f"{what} on {path} ({look})")
    return list(found.values())


def faults_here(page: Page) -> dict[str, str]:
    """What is wrong with the page that is open, and in which look."""
    found: dict[str, str] = {}
    for scheme, width in LOOKS:
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for what in _faults(page):
            found.setdefault(what, f"{scheme}, {width} px")
    return found


def _faults(page: Page) -> Iterator[str]:
    # A theme is changed by a script, and its colours by and by.
    page.wait_for_timeout(100)
    page.evaluate("Promise.all(document.getAnimations().map(one => one.finished))")
    for violation in AXE.run(page, options=RULES).response["violations"]:
        for node in violation["nodes"]:
            yield f"{violation['id']}: {node['html'][:200]}"
    root = "document.documentElement"
    if page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"):
        yield "wider than its window"


@pytest.mark.slow
def test_users_pages(portal: Portal, page: Page) -> None:
    found = faults(page, ["/accounts/login/"])
    sign_in(page)
    found += faults(page, ["/", "/exports/plain/"])
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_operators_pages(portal: Portal, page: Page) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", ROWS],
        cwd=ROOT, env=portal.environment, check=True, timeout=60,
    )  # fmt: skip
    sign_in(page, "op")

    paths = paths_of(page, "/operate/")

    assert "/operate/streams/rotation/1/change/" in paths
    found = faults(page, paths)
    assert not found, "\n".join(found)
