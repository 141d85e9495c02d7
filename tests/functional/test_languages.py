"""The pages in German, and in a language that is read from right to left."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po
from playwright.sync_api import Browser, Page, expect

from tests.functional import backwards
from tests.functional.browsing import browser, complaints
from tests.functional.conftest import ROOT, Portal, running
from tests.functional.origin import Connection, Origin, Request, head, length, replying
from tests.functional.test_accessibility import ROWS, faults_here, paths_of
from translating import catalogues, texts

__all__ = ["browser", "complaints"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MEGABYTE = 1 << 20
# What a user has done, so that no list is empty.
DEEDS = """
from datetime import timedelta
from django.utils import timezone
from streams.access import links, tokens
from streams.models import Download, Endpoint, Scope, User
ann, now = User.objects.get(username="ann"), timezone.now()
for slug, fields in (
    ("plain", {"state": "complete", "sent": 1_500_000_000, "sha256": "ab" * 32, "proof": "length"}),
    ("named", {"state": "cut", "reason": "stalled", "sent": 5_200_000, "size": 21_000_000}),
):
    Download.objects.create(
        endpoint=Endpoint.objects.get(slug=slug), slug=slug, user=ann, username="ann",
        filename=f"{slug}-2026-11-23.csv", started_at=now - timedelta(days=3),
        first_byte_at=now - timedelta(days=3), finished_at=now - timedelta(days=2), **fields,
    )
tokens.issue(ann, name="nightly", expires_at=now + timedelta(days=3), scope=Scope.READ)
"""
PAGES = [
    "/", "/?q=xyzzy", "/exports/plain/", "/exports/chosen/?form=csv", "/exports/shared/share",
    "/links/", "/downloads/", "/accounts/password/", "/accounts/security/",
    "/accounts/security/app/add/", "/accounts/security/passkeys/add/", "/accounts/sessions/",
    "/accounts/tokens/", "/s/" + "x" * 55, "/exports/missing/",
]  # fmt: skip
TEXTS = """() => {
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    while (walk.nextNode()) {
        const one = walk.currentNode;
        const inside = one.parentElement.closest("bdi, code, script, noscript, [lang]");
        if (inside === document.documentElement) found.push(one.data);
    }
    for (const one of document.querySelectorAll("[aria-label], [placeholder]")) {
        found.push(one.ariaLabel ?? one.placeholder);
    }
    return found.map(text => text.trim().split(/\\s+/).join(" "));
}"""


def slow(_: Request, connection: Connection) -> None:
    total = 30 * MEGABYTE
    connection.send(head(f"Content-Length: {total}", 'ETag: "v1"', "Accept-Ranges: bytes"))
    for _part in range(30):
        connection.send(b"x" * MEGABYTE)
        time.sleep(0.1)


@pytest.fixture(scope="module")
def portal(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One that has the language of `backwards`, too."""
    folder = tmp_path_factory.mktemp("portal")
    backwards.make(texts.catalogue(), folder / "locale")
    settings: dict[str, Any] = {
        "DJANGO_SETTINGS_MODULE": "tests.functional.backwards",
        backwards.FOLDER: str(folder / "locale"),
    }
    with running(folder, origin, **settings) as made:
        subprocess.run(
            [sys.executable, "manage.py", "shell", "-c", DEEDS],
            cwd=ROOT, env=made.environment, check=True, timeout=60,
        )  # fmt: skip
        yield made


@pytest.fixture(params=["de", "he"])
def page(request: pytest.FixtureRequest, browser: Browser, portal: Portal) -> Iterator[Page]:
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{portal.port}", locale=request.param, accept_downloads=True
    )
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


def english(language: str) -> set[str]:
    """Texts of ours and of packages that read otherwise in `language`."""
    packages = (ROOT / ".venv").glob(f"lib/python*/site-packages/**/locale/{language}/**/django.po")
    known: set[str] = set()
    for path in [*catalogues.FOLDER.rglob("*.po"), *packages]:
        with path.open("rb") as file:
            known |= {
                " ".join(message.id.split())
                for message in read_po(file)
                if isinstance(message.id, str) and message.string not in {"", message.id}
            }
    # What the registry calls a parameter is an operator's word.
    return known - {"", "Since"}


def test_every_page_has_its_language_its_direction_and_room(portal: Portal, page: Page) -> None:
    found: list[str] = []
    foreign = english("de")
    page.goto("/accounts/login/")
    language = page.locator("html").get_attribute("lang") or ""

    def judge() -> None:
        found.extend(f"{page.url}: {fault} ({look})" for fault, look in faults_here(page).items())
        if language == "de":
            found.extend(f"{page.url}: {text}" for text in page.evaluate(TEXTS) if text in foreign)
        if folder := os.environ.get("SPILLWAY_TESTS_PICTURES"):
            name = page.url.partition("//")[2].partition("/")[2].replace("/", "-")[:40] or "start"
            for width in (390, 1280):
                page.set_viewport_size({"width": width, "height": 844})
                place = Path(folder) / f"{language}-{width}-{name}.png"
                page.screenshot(path=place, full_page=True)

    judge()
    page.locator("[name=username]").fill("ann")
    page.locator("[name=password]").fill("tests-only")
    page.keyboard.press("Enter")
    expect(page.locator("ul.exports")).to_be_visible(timeout=20_000)
    for path in PAGES:
        page.goto(path)
        assert page.locator("html").get_attribute("dir") == ("rtl" if language == "he" else "ltr")
        judge()
    # The answer to a form.
    page.goto("/exports/shared/share")
    page.locator("main form button").click()
    expect(page.locator("#link")).to_be_visible()
    judge()

    assert not found, "\n".join(found)


# Of an operators' page that is read from right to left: sentences in English whose end is where
# they begin, charts whose bars do not stand above their words, a timeline on the wrong side, and
# what is wider than the window.
TURNED = """() => {
    const found = [], root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) found.push(`wider than ${root.clientWidth} px`);
    for (const page of document.querySelectorAll(".operate, .doctor, .readonly, #result_list")) {
        const walk = document.createTreeWalker(page, NodeFilter.SHOW_TEXT);
        while (walk.nextNode()) {
            const text = walk.currentNode.data.trim(), around = walk.currentNode.parentElement;
            if (!/^[a-z][^\\u0590-\\u05ff]* [^\\u0590-\\u05ff]*[.]$/i.test(text)) continue;
            const style = getComputedStyle(around.closest(".readonly, td") ?? around);
            if (style.unicodeBidi === "plaintext") continue;
            if (getComputedStyle(around).direction !== "ltr") found.push(text);
        }
    }
    for (const chart of document.querySelectorAll(".traffic")) {
        for (const kind of ["rect", ".x span"]) {
            const all = [...chart.querySelectorAll(kind)];
            const [first, last] = [all[0], all.at(-1)].map(one => one?.getBoundingClientRect());
            if (all.length > 1 && first.left < last.left) found.push(`${kind} of a chart`);
        }
    }
    for (const steps of document.querySelectorAll(".timeline, .progress")) {
        const own = getComputedStyle(steps), inner = steps.getBoundingClientRect();
        const outer = steps.parentElement.getBoundingClientRect();
        if (outer.right - inner.right < 8) found.push(`no room before ${steps.className}`);
        if (parseFloat(own.borderLeftWidth)) found.push("the line of a timeline");
    }
    for (const code of document.querySelectorAll("main pre, main code")) {
        if (getComputedStyle(code).direction !== "ltr") found.push(`code: ${code.textContent}`);
    }
    return found;
}"""


@pytest.mark.parametrize("page", ["he"], indirect=True)
def test_operators_pages_run_from_right_to_left(portal: Portal, page: Page) -> None:
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", ROWS],
        cwd=ROOT, env=portal.environment, check=True, timeout=60,
    )  # fmt: skip
    page.goto("/accounts/login/")
    page.locator("[name=username]").fill("op")
    page.locator("[name=password]").fill("tests-only")
    page.keyboard.press("Enter")
    expect(page.locator("ul.exports")).to_be_visible(timeout=20_000)
    paths = [*paths_of(page, "/operate/"), "/operate/?range=7d"]
    assert "/operate/streams/rotation/1/change/" in paths
    found: list[str] = []

    for path in paths:
        page.goto(path)
        assert page.locator("html").get_attribute("dir") == "rtl"
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 844})
            page.wait_for_timeout(100)
            found += [f"{path}: {fault}" for fault in page.evaluate(TURNED)]

    assert not found, "\n".join(found)


def test_a_download_in_german(portal: Portal, browser: Browser) -> None:
    context = browser.new_context(base_url=f"http://127.0.0.1:{portal.port}", locale="en-GB")
    page = context.new_page()
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Deutsch").click()
    page.get_by_label("Benutzername").fill("ann")
    page.get_by_label("Passwort").fill("tests-only")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Named").first.click()
    case = portal.origin.on(slow)
    page.goto(f"/exports/named/?case={case.name}")

    with page.expect_download() as download:
        page.get_by_role("link", name="herunterladen").click()
    running_now = page.locator("#progress .running")
    expect(running_now.get_by_role("heading")).to_contain_text("Wird gesendet")
    expect(running_now).to_contain_text("von 31,5 MB")
    expect(running_now).to_contain_text("MB/s · noch ")
    expect(page.get_by_role("heading", name="Alles wurde gesendet")).to_be_visible()
    expect(page.locator("#progress")).to_contain_text("31,5 MB · Vollständig: durch die Länge")
    expect(page.locator("#announce")).to_contain_text("100 %")
    page.set_input_files("#copy", str(download.value.path()))
    expect(page.locator("#check output")).to_contain_text(
        "Ihre Kopie ist vollständig: Alle 31,5 MB"
    )
    assert faults_here(page) == {}
    page.reload()
    row = page.get_by_role("row").filter(has_text="gerade eben")
    expect(row.first).to_contain_text("vollständig")
    gone = portal.origin.on(replying(length(b"", status="404 Not Found")))
    page.goto(f"/exports/plain/download?case={gone.name}")
    expect(page.get_by_role("alert")).to_contain_text("Die Quelle hat diese Datei nicht.")
    # The technical sentence is for those who operate the portal.
    expect(page.get_by_role("alert")).not_to_contain_text("source")
    context.close()
