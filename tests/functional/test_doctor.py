"""The doctor's page in a real Chromium, while a real worker is killed in the middle of a run."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.conftest import Portal, running
from tests.functional.origin import Connection, Origin, Request, head
from tests.functional.workers import working

__all__ = ["browser", "complaints", "page"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def portal(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal of its own: its worker would meddle with other tests' downloads."""
    with running(tmp_path_factory.mktemp("doctor"), origin, SPILLWAY_TICK="1") as made:
        yield made


def test_a_run_is_asked_for_its_worker_killed_and_the_page_tells_what_the_next_one_finds(
    portal: Portal, page: Page, browser: Browser, origin: Origin
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def silent(_: Request, connection: Connection) -> None:
        asked.set()
        answer.wait(60)
        connection.send(head("Content-Length: 0", status="404 Not Found"))

    case = origin.on(silent)
    _change(
        portal,
        f"update streams_endpoint set enabled = slug = 'plain', url = url || '?case={case.name}'",
    )
    sign_in(page, "op")
    page.goto("/operate/streams/endpoint/?q=plain")
    page.get_by_role("cell").get_by_role("link", name="unknown").click()
    status = page.get_by_role("status")
    expect(status).to_contain_text("It has not been examined yet.")

    page.get_by_role("button", name="Run now").press("Enter")
    expect(status).to_contain_text("Waiting for a worker")
    expect(page.get_by_role("button", name="Run now")).to_be_disabled()
    with working(portal.environment, portal.folder / "worker.log"):
        assert asked.wait(30), _log(portal)
        expect(status).to_contain_text("Being examined")
    # It was killed in the middle. As five minutes later:
    answer.set()
    _change(portal, "update streams_checkup set lease_until = '2026-01-01 00:00:00'")
    expect(status).to_contain_text("Waiting for a worker")
    with working(portal.environment, portal.folder / "worker.log"):
        finding = page.get_by_role("article").first
        expect(finding).to_contain_text("does-not-open", timeout=40_000)

    expect(page.locator("#doctor-state")).to_contain_text("failing")
    expect(page.get_by_role("button", name="Run now")).to_be_enabled()
    expect(page.get_by_role("cell", name="on demand (op)")).to_be_visible()
    with closing(_database(portal)) as database:
        assert database.execute(
            "select count(*) from streams_doctorrun run join streams_checkup e "
            "on run.checkup_id = e.id where e.endpoint_id is not null"
        ).fetchone() == (1,)


def _database(portal: Portal) -> sqlite3.Connection:
    return sqlite3.connect(portal.folder / "db.sqlite3", timeout=20, isolation_level=None)


def _change(portal: Portal, statement: str) -> None:
    with closing(_database(portal)) as database:
        database.execute(statement)


def _log(portal: Portal) -> str:
    return Path(portal.folder / "worker.log").read_text()
