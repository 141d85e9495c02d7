"""An operator's stop, by another process than the one that carries the download."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.conftest import ROOT, Portal
from tests.functional.origin import Connection, Request, Script, head
from tests.functional.test_accessibility import faults

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
