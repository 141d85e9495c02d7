"""From a fault to its end at /operate/: a real Chromium, server, worker and sandbox."""

import json
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import sandbox
from sandbox.client import Sandbox
from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.conftest import ROOT, Portal, running, until
from tests.functional.origin import Origin
from tests.functional.test_accessibility import faults_here
from tests.functional.workers import working

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
    with working(portal.environment, portal.folder / "worker.log"):
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


def test_a_repair_goes_on_when_its_page_is_left(portal: Portal, page: Page, aws: Sandbox) -> None:
    functions = aws.client("lambda")
    known = {one["Sid"] for one in _statements(aws)} & {"public-invoke", "spillway-invoke-via-url"}
    for name in known:
        functions.remove_permission(FunctionName="orders-export", StatementId=name)
    looked = subprocess.run(
        [sys.executable, "manage.py", "doctor", "orders"],
        cwd=ROOT, env=portal.environment, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert looked.returncode == 1, looked.stderr
    begun, mended = _recorded(portal, "doctor.repair-begun"), _recorded(portal, "doctor.repaired")
    sign_in(page, "op")
    page.goto("/operate/streams/endpoint/1/doctor/")
    page.get_by_role("link", name="Fix for me").click()
    page.get_by_role("button", name="Fix it").click(no_wait_after=True)
    assert until(lambda: _recorded(portal, "doctor.repair-begun") > begun, 20)

    page.context.close()

    assert until(lambda: _recorded(portal, "doctor.repaired") > mended, 20), portal.log
    assert len(_statements(aws)) == 2


def _statements(aws: Sandbox) -> list[dict[str, str]]:
    policy = aws.client("lambda").get_policy(FunctionName="orders-export")["Policy"]
    found: list[dict[str, str]] = json.loads(policy)["Statement"]
    return found


def _recorded(portal: Portal, action: str) -> int:
    """How often."""
    with closing(sqlite3.connect(portal.folder / "db.sqlite3", timeout=20)) as database:
        (count,) = database.execute(
            "select count(*) from streams_auditentry where action = ?", [action]
        ).fetchone()
    return int(count)
