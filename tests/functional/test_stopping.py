"""An operator's stop, by another process than the one that carries the download; and its user's."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.client import Answer
from tests.functional.conftest import ROOT, Portal, until
from tests.functional.origin import Connection, Request, Script, head
from tests.functional.test_accessibility import faults, faults_here
from tests.functional.test_zip import CSV, ask, outcomes, rows, whole

__all__ = ["browser", "complaints", "page"]

# Waits for ids, since Django takes longer to start than some downloads are patient.
OPERATOR = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import django
django.setup()
from streams.delivery import stopping
from streams.models import Download, User
op = User.objects.get(username="op")
print("ready", flush=True)
for line in sys.stdin:
    download = Download.objects.get(pk=line.strip())
    asked = [stopping.stop(download, by=op, reason="It fills the line.") for _ in range(2)]
    print(asked, flush=True)
"""
ENDLESS = 1_000_000_000


def unread(_: Request, connection: Connection) -> None:
    connection.send(head(f"Content-Length: {ENDLESS}", 'ETag: "v1"', "Accept-Ranges: bytes"))
    connection.pour(ENDLESS)


def slow(_: Request, connection: Connection) -> None:
    """In chunks, of which the last never comes: nothing but the cut tells that it is not whole."""
    connection.send(head("Transfer-Encoding: chunked"))
    while True:
        connection.send(b"5\r\nhello\r\n")
        time.sleep(0.1)


def silent(_: Request, connection: Connection) -> None:
    """Not even a head."""
    connection.wait_for_peer_to_leave()
    raise ConnectionError


@pytest.fixture(scope="module")
def operator(portal: Portal) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", OPERATOR],
        cwd=ROOT, env=portal.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def said(operator: subprocess.Popen[str], download: str | None) -> str:
    assert operator.stdin is not None
    assert operator.stdout is not None
    print(download, file=operator.stdin, flush=True)
    return operator.stdout.readline().strip()


@pytest.mark.parametrize("script", [unread, slow])
def test_what_an_operator_stops_is_cut_and_not_taken_up_again(
    portal: Portal, operator: subprocess.Popen[str], script: Script
) -> None:
    case = portal.origin.on(script)
    exchange = portal.ask(case)
    answer = exchange.read_head()

    assert said(operator, answer.value("x-download-id")) == "[True, False]"

    assert case.left.wait(4), "the origin still sends"
    row = portal.record(answer)
    assert (row["state"], row["reason"]) == ("cut", "stopped")
    assert (row["stopped_by"], row["stop_reason"]) == ("op", "It fills the line.")
    while exchange.more():
        pass
    assert len(exchange.rest()) < ENDLESS
    assert b"\r\n0\r\n" not in exchange.rest()
    exchange.leave()
    # As a browser does by itself.
    resumed = portal.ask(case, "Range: bytes=5-").read()
    assert resumed.status == 429
    assert b"It fills the line." in resumed.body
    assert said(operator, answer.value("x-download-id")) == "[False, False]"


def test_what_has_no_first_byte_yet_is_stopped_too(
    portal: Portal, operator: subprocess.Popen[str]
) -> None:
    case = portal.origin.on(silent)
    exchange = portal.ask(case)
    assert until(lambda: case.requests)

    assert said(operator, running(portal)) == "[True, False]"

    answer = exchange.read()
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (409, "stopped")
    assert case.left.wait(3), "the source is still asked"
    row = portal.record(answer)
    assert (row["state"], row["reason"], row["sent"]) == ("cut", "stopped", 0)


def running(portal: Portal) -> str:
    """The id of the download that waits for its first byte."""
    found: list[str] = []

    def waits() -> bool:
        query = "select id from streams_download where state = 'running' and first_byte_at is null"
        found[:] = [row["id"] for row in portal.select(query)]
        return bool(found)

    assert until(waits)
    return found[0]


@pytest.mark.parametrize("of", ["begun", "waiting"])
def test_a_zip_is_stopped_as_a_whole(
    portal: Portal, operator: subprocess.Popen[str], of: str
) -> None:
    def sized(request: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {ENDLESS}"))
        if request.method == "GET":
            connection.pour(ENDLESS)

    exchange = ask(portal, sized, whole(CSV))
    answer = exchange.read_head()
    bundle = (answer.value("x-download-id") or "").replace("-", "")

    def named(begun: str) -> str:
        query = f"select id from streams_download where bundle = '{bundle}' and {begun}"
        assert until(lambda: portal.select(query))
        return str(portal.select(query)[0]["id"])

    pk = named(f"first_byte_at is {'not ' if of == 'begun' else ''}null")
    assert said(operator, pk) == "[True, False]"

    ended = outcomes(portal, answer)
    assert ended == [("cancelled", "not_reached"), ("cut", "stopped")]
    assert {row["stop_reason"] for row in rows(portal, answer)} == {"It fills the line."}
    while exchange.more():
        pass
    exchange.leave()


def cancelled(window: Page, portal: Portal, script: Script, *, waits: bool) -> Answer:
    """Ends from its page what another program fetches; gives what that program got."""
    case = portal.origin.on(script)
    exchange = portal.ask(case)
    if waits:
        running(portal)
    else:
        exchange.read_head()
    window.goto(f"/exports/plain/?case={case.name}")
    window.locator("#progress").get_by_role("button", name="Cancel").first.click()
    expect(window.get_by_role("status").filter(has_text="within seconds")).to_be_visible()
    assert case.left.wait(5), "the source is still asked"
    assert "case=" in window.url, "what was chosen is lost"
    if waits:
        return exchange.read()
    while exchange.more():
        pass
    assert b"\r\n0\r\n" not in exchange.rest()
    exchange.leave()
    return Answer(0, [])


@pytest.mark.slow
def test_its_user_ends_one_from_the_page_whoever_fetches_it(portal: Portal, page: Page) -> None:
    sign_in(page)

    answer = cancelled(page, portal, silent, waits=True)

    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (409, "cancelled")
    row = portal.record(answer)
    assert (row["state"], row["reason"], row["stopped_by"]) == ("cancelled", "cancelled", "ann")
    alert = page.get_by_role("alert").first
    expect(alert).to_contain_text("You cancelled it.")
    assert not faults_here(page)
    cancelled(page, portal, slow, waits=False)
    expect(alert).to_contain_text("You cancelled it.")


@pytest.mark.slow
def test_its_user_ends_one_without_javascript(portal: Portal, browser: Browser) -> None:
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{portal.port}", java_script_enabled=False
    )
    window = context.new_page()
    sign_in(window)

    answer = cancelled(window, portal, silent, waits=True)

    assert answer.status == 409
    context.close()


@pytest.mark.slow
def test_an_operator_watches_a_download_and_stops_it(portal: Portal, page: Page) -> None:
    sign_in(page, "op")
    page.goto("/operate/streams/download/live/")
    row = page.get_by_role("row").filter(has_text="named")
    expect(row).to_have_count(0)

    exchange = portal.ask(portal.origin.on(slow), slug="named")
    exchange.read_head()

    # By itself.
    expect(row).to_contain_text("of unknown size")
    expect(row).to_contain_text("B/s")
    page.get_by_role("button", name="Pause updating").click()
    expect(page.get_by_role("button", name="Go on updating")).to_be_visible()
    stop = row.get_by_role("link", name="Stop named for ann")
    found = faults(page, [page.url, str(stop.evaluate("link => link.href"))])
    assert not found, "\n".join(found)
    page.get_by_label("Reason").fill("It fills the line.")
    page.keyboard.press("Enter")
    expect(page.get_by_text("It will be cut within seconds.")).to_be_visible()
    expect(row).to_have_count(0)
    exchange.leave()
    page.context.clear_cookies()
    sign_in(page)
    page.goto("/exports/named/")
    expect(page.get_by_text("An operator stopped it: It fills the line.").first).to_be_visible()
