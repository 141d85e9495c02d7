"""The live page while two hundred downloads run, and while fifty tabs look at it."""

import contextlib
import http.client
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.client import Exchange
from tests.functional.conftest import Portal, running, until
from tests.functional.origin import Connection, Origin, Request, head

__all__ = ["browser", "complaints", "page"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LIVE = "/operate/streams/download/live/"
MANY, TABS = 200, 50
# Seconds between two looks of a page, as `data-again` says, and for how long they are measured.
AGAIN, MEASURED = 3, 9
ROW = re.compile(
    r'download/([0-9a-f-]{36})/change/".*?<td>\s*([^<]*? of [^<]*?)\s*</td>', re.DOTALL
)


def slow(_: Request, connection: Connection) -> None:
    connection.send(head("Content-Length: 1000000000"))
    while True:
        connection.send(b"x" * 2000)
        time.sleep(0.5)


@pytest.fixture(scope="module")
def portal(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    # Two hundred begin at once, and others want this machine too.
    folder = tmp_path_factory.mktemp("live")
    with running(folder, origin, SPILLWAY_HEAD_TIMEOUT="60", SPILLWAY_IDLE_TIMEOUT="20") as made:
        yield made


@pytest.fixture(scope="module")
def downloads(portal: Portal) -> Iterator[list[Exchange]]:
    """What comes fits into the sockets' buffers, unread."""
    case = portal.origin.on(slow)

    def begun(_: int) -> Exchange:
        exchange = portal.ask(case, seconds=60)
        assert exchange.read_head().status == 200
        return exchange

    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(begun, range(MANY)))
    yield made
    for one in made:
        one.leave()


class Tab:
    """What an open live page asks for, without the browser around it."""

    def __init__(self, portal: Portal, page: Page) -> None:
        (session,) = (c for c in page.context.cookies() if "session" in c["name"])
        self.fields = {
            "Cookie": f"{session['name']}={session['value']}",
            "X-Requested-With": "live",
            "Accept-Encoding": "gzip",
        }
        self.connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=30)

    def close(self) -> None:
        self.connection.close()

    def look(self, number: int = 1, **fields: str) -> bytes:
        self.connection.request("GET", f"{LIVE}?page={number}", headers=self.fields | fields)
        answer = self.connection.getresponse()
        assert answer.status == 200
        return answer.read()

    def sent(self, pages: int) -> dict[str, str]:
        """By download, what was sent of it, from all pages."""
        plain = {"Accept-Encoding": "identity"}
        told = (self.look(number + 1, **plain).decode() for number in range(pages))
        return dict(found for text in told for found in ROW.findall(text))

    def stay_open(self, until: float, first: float) -> int:
        """Looks every three seconds; how often it did."""
        time.sleep(first)
        looks = 0
        while time.monotonic() < until:
            self.look()
            looks += 1
            time.sleep(AGAIN)
        return looks


def test_two_hundred_are_seen_and_one_of_them_is_stopped(
    portal: Portal, downloads: list[Exchange], page: Page
) -> None:
    sign_in(page, "op")
    page.goto(LIVE)
    expect(page.get_by_text(f"{MANY} downloads, the longest first.")).to_be_visible()
    expect(page.locator("#running tbody tr")).to_have_count(50)
    with contextlib.closing(Tab(portal, page)) as tab:
        before = tab.sent(MANY // 50)
        assert len(before) == MANY

        def all_grew() -> bool:
            now = tab.sent(MANY // 50)
            return now.keys() == before.keys() and all(now[one] != before[one] for one in before)

        assert until(all_grew, 30)
    # The page itself follows, on its last page too.
    page.get_by_role("link", name="Newer ones").click()
    expect(page.get_by_text("Page 2 of 4")).to_be_visible()
    first = page.locator("#running tbody tr").first
    sent = first.locator("td").nth(3)
    expect(sent).not_to_have_text(sent.inner_text(), timeout=15_000)

    stopped = first.get_by_role("link").first.get_attribute("href")
    first.get_by_role("link", name=re.compile("Stop")).click()
    page.get_by_label("Reason").fill("It fills the line.")
    page.keyboard.press("Enter")

    expect(page.get_by_text(f"{MANY - 1} downloads, the longest first.")).to_be_visible(
        timeout=20_000
    )
    with contextlib.closing(Tab(portal, page)) as tab:
        assert str(stopped).split("/")[-3] in before
        assert str(stopped).split("/")[-3] not in tab.sent(MANY // 50)


def test_fifty_open_tabs_cost_little(portal: Portal, downloads: list[Exchange], page: Page) -> None:
    sign_in(page, "op")
    tabs = [Tab(portal, page) for _ in range(TABS)]
    for tab in tabs:
        tab.look()
    alone = _share(portal, lambda: time.sleep(MEASURED))
    looks: list[int] = []

    def watched() -> None:
        end = time.monotonic() + MEASURED
        with ThreadPoolExecutor(TABS) as pool:
            begins = (AGAIN * number / TABS for number in range(TABS))
            looks.extend(pool.map(lambda tab, first: tab.stay_open(end, first), tabs, begins))

    share = _share(portal, watched)
    for tab in tabs:
        tab.close()
    assert sum(looks) >= TABS
    assert share - alone < 0.5


def _share(portal: Portal, meanwhile: Callable[[], object]) -> float:
    """Of one core, what the server used meanwhile."""
    begun, used = time.monotonic(), _computed(portal)
    meanwhile()
    return (_computed(portal) - used) / (time.monotonic() - begun)


def _computed(portal: Portal) -> float:
    """Seconds of the processor since the server began."""
    fields = Path(f"/proc/{portal.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
