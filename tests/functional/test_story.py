"""From nothing to a rotated secret at /operate/, by keyboard, by somebody who has read nothing.

A real Chromium, server and worker, and AWS's stand-in.
"""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import sandbox
from sandbox.client import Sandbox
from tests.functional.browsing import browser, complaints, page
from tests.functional.client import Exchange
from tests.functional.conftest import ROOT, Portal, running
from tests.functional.keyboard import enter, expect_seen, press, tab_to
from tests.functional.origin import Connection, Origin, Request, head
from tests.functional.test_accessibility import faults_here
from tests.functional.workers import working

__all__ = ["browser", "complaints", "page"]

pytestmark = pytest.mark.slow

VALUE = secrets.token_urlsafe(32)
# More than fits into all buffers between here and there: it is under way while nobody reads.
BODY = b"order,amount\n" * 8_000_000


@pytest.fixture(scope="module")
def aws() -> Iterator[Sandbox]:
    with sandbox.running(sandbox.Settings(propagation_seconds=0.5)) as made:
        made.put_object("exports", "orders.csv", BODY)
        held = {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "orders.csv", "SECRET_HEADER": VALUE}
        made.deploy_function("orders-export", ROOT / "functions" / "python", "app.handler", held)
        # What is to be found, and mended.
        made.client("lambda").remove_permission(
            FunctionName="orders-export", StatementId="public-invoke"
        )
        yield made


@pytest.fixture(scope="module")
def portal(
    aws: Sandbox, origin: Origin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Portal]:
    settings = {
        "SPILLWAY_TICK": "1", "SPILLWAY_ROTATION_SETTLE": "1", "SPILLWAY_ROTATION_DRAIN": "1",
        "SPILLWAY_ROTATION_PROPAGATION": "1", "SPILLWAY_CLIENT_TIMEOUT": "600",
        "SPILLWAY_HEAD_TIMEOUT": "30", "SPILLWAY_IDLE_TIMEOUT": "60", **aws.environment(),
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("story")
    with running(folder, origin, registry_text="version: 1\n", workers=1, **settings) as made:
        yield made


def clean(page: Page) -> None:
    """Axe finds nothing; then the window is as it was."""
    assert faults_here(page) == {}
    page.set_viewport_size({"width": 1280, "height": 844})
    page.emulate_media(color_scheme="light")


def whole(_: Request, connection: Connection) -> None:
    connection.send(head("Content-Length: 5", 'ETag: "v1"', "Accept-Ranges: bytes") + b"hello")


def heading(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", name=name)).to_be_visible(timeout=40_000)


@pytest.mark.timeout(600)
def test_from_nothing_to_a_rotated_secret(
    portal: Portal, page: Page, browser: Browser, aws: Sandbox
) -> None:
    with working(portal.environment, portal.folder / "worker.log"):
        signs_in(page)
        adds_an_endpoint(page)
        sees_why_it_does_not_work_and_repairs_it(page)
        download = portal.fetch("orders", receive_buffer=64 * 1024)
        try:
            watches(page, download)
            rotates_the_secret(page, aws)
        finally:
            download.leave()

    told = page.content() + portal.log + Path(portal.folder / "worker.log").read_text()
    assert VALUE not in told


def signs_in(page: Page) -> None:
    page.goto("/operate/")
    enter(page, re.compile("^user ?name", re.IGNORECASE), "op")
    enter(page, re.compile("^password", re.IGNORECASE), "tests-only")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No endpoints yet.")).to_be_visible()


def adds_an_endpoint(page: Page) -> None:
    press(page, page.get_by_role("link", name="Add one"))
    heading(page, "Step 1 of 6: What it is")
    tab_to(page, page.get_by_role("radio").first)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("A Lambda function with a function URL")).to_be_checked()
    press(page, page.get_by_role("button", name="Continue"))

    heading(page, "Its address")
    # Nothing was entered yet: the summary leads to the field.
    press(page, page.get_by_role("button", name="Continue"))
    expect(page.get_by_role("alert")).to_be_focused()
    expect_seen(page)
    press(page, page.get_by_role("alert").get_by_role("link", name="Address"))
    expect(page.get_by_label("Address", exact=True)).to_be_focused()
    clean(page)
    page.keyboard.type("orders-export")
    page.keyboard.press("Enter")

    heading(page, "Where exactly")
    expect(page.get_by_text("RESPONSE_STREAM")).to_be_visible()
    expect(page.get_by_label("Function", exact=True)).to_have_value("orders-export")
    clean(page)
    press(page, page.get_by_role("button", name="Continue"))

    heading(page, "How the portal proves itself")
    expect(page.get_by_label("by a secret header that is made now")).to_be_checked()
    clean(page)
    press(page, page.get_by_role("button", name="Continue"))

    heading(page, "A new secret")
    enter(page, "Name", "guard")
    clean(page)
    press(page, page.get_by_role("button", name="Make the secret and continue"))

    heading(page, "What users see")
    enter(page, "Title", "All orders")
    enter(page, "Slug", "orders")
    enter(page, "File name", "orders.csv")
    press(page, page.get_by_label("every signed-in user"), "Space")
    page.keyboard.press("Enter")

    heading(page, "Checked, not saved: 1 finding")
    expect(page.get_by_role("heading", name="Checked, not saved: 1 finding")).to_be_focused()
    expect_seen(page)
    expect(page.get_by_role("article")).to_contain_text("permission-invoke")
    clean(page)
    press(page, page.get_by_role("button", name="Save as it is"))
    expect(page.get_by_text("All orders is added.")).to_be_visible()


def sees_why_it_does_not_work_and_repairs_it(page: Page) -> None:
    press(page, page.get_by_role("link", name="Doctor", exact=True).last)
    press(page, page.get_by_role("button", name="Run now"))
    fix = page.get_by_role("link", name="Fix for me")
    expect(fix).to_be_visible(timeout=60_000)
    expect(page.get_by_role("article")).to_contain_text("permission-invoke")
    press(page, fix)
    expect(page.get_by_text("Call: lambda AddPermission")).to_be_visible()
    press(page, page.get_by_role("button", name="Fix it"))
    heading(page, "It is mended")
    press(page, page.get_by_role("link", name="Back to what the doctor found"))
    heading(page, "Gone since the run before")


def watches(page: Page, download: Exchange) -> None:
    assert download.read_head().status == 200
    press(page, page.get_by_role("link", name="Downloads", exact=True).first)
    press(page, page.get_by_role("link", name="Downloads now"))
    row = page.get_by_role("row").filter(has_text="ann")
    expect(row).to_contain_text("of 104 MB", timeout=20_000)
    clean(page)
    stop = page.get_by_role("link", name="Stop orders for ann")
    tab_to(page, stop)
    # The row is told anew, and whoever is at it stays there.
    before = row.inner_text()
    while len(download.rest()) < len(BODY) // 10:
        assert download.more()
    expect(row).not_to_have_text(before, use_inner_text=True, timeout=30_000)
    expect(stop).to_be_focused()


def rotates_the_secret(page: Page, aws: Sandbox) -> None:
    press(page, page.get_by_role("link", name="Secrets", exact=True).first)
    press(page, page.get_by_role("link", name="guard", exact=True))
    press(page, page.get_by_role("link", name="Rotate …").first)
    expect(page.get_by_text("No request is refused:")).to_be_visible()
    expect(page.get_by_text("the function orders-export: its variable")).to_be_visible()
    clean(page)
    # There is traffic: its name is to be typed.
    press(page, page.get_by_role("button", name="Rotate", exact=True))
    expect(page.get_by_text("1 download is under way with this secret.")).to_be_visible()
    enter(page, "1 download is under way with it. Type the name, guard:", "guard")
    press(page, page.get_by_role("button", name="Rotate", exact=True))

    # It is told as it goes on, by itself.
    status = page.locator("#state").get_by_role("status")
    expect(status).to_contain_text("At ")
    tab_to(page, page.get_by_role("button", name="Pause updating"))
    expect(status).to_contain_text("It took", timeout=120_000)
    steps = page.get_by_role("list").filter(has_text="preflight")
    proof = steps.get_by_role("listitem").filter(has_text="prove new")
    expect(proof.first).to_contain_text("refuse")
    clean(page)
    answer = aws.client("lambda").get_function_configuration(FunctionName="orders-export")
    assert answer["Environment"]["Variables"]["SECRET_HEADER"] != VALUE


def test_without_javascript_an_endpoint_is_added_by_plain_forms(
    portal: Portal, browser: Browser, origin: Origin
) -> None:
    case = origin.on(whole)
    url = f"http://127.0.0.1:{portal.port}"
    context = browser.new_context(base_url=url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/operate/")
    page.get_by_role("textbox", name=re.compile("^user ?name", re.IGNORECASE)).fill("op")
    page.get_by_role("textbox", name=re.compile("^password", re.IGNORECASE)).fill("tests-only")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Needs attention")).to_be_visible()
    page.goto("/operate/streams/endpoint/add/")
    page.get_by_label("A file on any HTTP server").check()
    go_on = page.get_by_role("button", name="Continue")
    go_on.click()
    page.get_by_label("Address", exact=True).fill(f"{origin.url}?case={case.name}")
    go_on.click()
    go_on.click()
    page.get_by_label("not at all: everybody may ask").check()
    go_on.click()
    page.get_by_label("Title").fill("Plain")
    # A step back and on again, with nothing lost.
    page.get_by_role("button", name="Back").click()
    go_on.click()
    expect(page.get_by_label("Title")).to_have_value("Plain")
    page.get_by_label("Slug").fill("plain")
    go_on.click()
    heading(page, "Checked, not saved")
    page.get_by_role("button", name=re.compile("^Save")).click()
    expect(page.get_by_text("Plain is added.")).to_be_visible()
    context.close()
