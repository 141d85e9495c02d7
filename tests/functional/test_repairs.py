"""From a fault to its end at /operate/: a real Chromium, server, worker and sandbox."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import sandbox
from sandbox.client import Sandbox
from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.conftest import ROOT, Portal, running
from tests.functional.origin import Origin
from tests.functional.test_accessibility import faults_here
from tests.functional.test_doctor import worker

__all__ = ["browser", "complaints", "page"]

pytestmark = pytest.mark.slow

REGISTRY = """
version: 1
secrets:
  - {{name: orders, value_from_env: ORDERS, function: {{name: orders-export, region: {region}}}}}
endpoints:
  - {{slug: orders, title: Orders, kind: function-url, url: "{url}", auth: secret-header,
     secret: orders, groups: "*"}}
"""


@pytest.fixture(scope="module")
def aws() -> Iterator[Sandbox]:
    with sandbox.running(sandbox.Settings(propagation_seconds=0.01)) as made:
        made.put_object("exports", "orders.csv", b"a,b\n1,2\n" * 1000)
        yield made


@pytest.fixture(scope="module")
def portal(
    aws: Sandbox, origin: Origin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Portal]:
    value = secrets.token_urlsafe(32)
    held = {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "orders.csv", "SECRET_HEADER": value}
    url = aws.deploy_function("orders-export", ROOT / "functions" / "python", "app.handler", held)
    settings = {
        "ORDERS": value, "SPILLWAY_TICK": "1", "SPILLWAY_ROTATION_SETTLE": "1",
        "SPILLWAY_ROTATION_PROPAGATION": "1", **aws.environment(),
    }  # fmt: skip
    registry = REGISTRY.format(region=aws.region, url=url)
    folder = tmp_path_factory.mktemp("repairs")
    with running(folder, origin, registry_text=registry, workers=1, **settings) as made:
        yield made


def test_a_fault_is_found_before_saving_and_mended_by_keyboard(
    portal: Portal, page: Page, browser: Browser, aws: Sandbox
) -> None:
    functions = aws.client("lambda")
    functions.remove_permission(FunctionName="orders-export", StatementId="public-invoke")
    sign_in(page, "op")
    page.goto("/operate/streams/endpoint/1/change/")
    page.get_by_label("Description").fill("Entered by hand.")

    page.get_by_role("button", name="Check before saving").press("Enter")

    expect(page.get_by_role("heading", name="Checked, not saved: 1 finding")).to_be_focused()
    expect(page.get_by_role("article")).to_contain_text("permission-invoke")
    expect(page.get_by_label("Description")).to_have_value("Entered by hand.")
    assert faults_here(page) == {}

    page.goto("/operate/streams/endpoint/1/doctor/")
    expect(page.get_by_role("link", name="Fix for me")).to_have_count(0)
    with worker(portal):
        page.get_by_role("button", name="Run now").press("Enter")
        fix = page.get_by_role("link", name="Fix for me")
        expect(fix).to_be_visible(timeout=40_000)
        assert faults_here(page) == {}
        fix.press("Enter")
        expect(page.get_by_text("Call: lambda AddPermission")).to_be_visible()
        assert faults_here(page) == {}
        page.get_by_role("button", name="Fix it").press("Enter")
        expect(page.get_by_role("heading", name="It is mended")).to_be_visible(timeout=30_000)
        assert faults_here(page) == {}
        page.get_by_role("link", name="Back to what the doctor found").press("Enter")
        gone = page.get_by_role("heading", name="Gone since the run before")
        expect(gone).to_be_visible(timeout=40_000)

    log = Path(portal.folder / "log").read_text()
    assert portal.environment["ORDERS"] not in log + page.content()
