"""Share links, by clients that have nothing but the link, on the real server."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser, expect

from tests.functional.browsing import browser
from tests.functional.client import Answer, Exchange
from tests.functional.conftest import ROOT, Portal, until
from tests.functional.origin import Connection, Request, Script, head
from tests.functional.test_accessibility import faults_here

__all__ = ["browser"]

BODY = bytes(range(256)) * 4096
PASSCODE = "canary-passcode"
# Django takes longer to start than most of these tests.
MAKER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import django
django.setup()
from datetime import timedelta
from django.utils import timezone
from streams.delivery import sharing
from streams.models import Endpoint, User
ann, shared = User.objects.get(username="ann"), Endpoint.objects.get(slug="shared")
print("ready", flush=True)
for line in sys.stdin:
    case, most, passcode = line.rstrip("\\n").split(" ")
    at = timezone.now() + timedelta(days=1)
    print(sharing.make(
        ann, shared, query=f"case={case}", expires_at=at, most=int(most), passcode=passcode,
    ), flush=True)
"""
Make = Callable[..., str]


@pytest.fixture(scope="module")
def make(portal: Portal) -> Iterator[Make]:
    """Makes a link to what a script sends."""
    with subprocess.Popen(
        [sys.executable, "-c", MAKER],
        cwd=ROOT, env=portal.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        reading, writing = process.stdout, process.stdin
        assert reading.readline() == "ready\n"

        def made(script: Script, most: int = 1, passcode: str = "") -> str:
            writing.write(f"{portal.origin.on(script).name} {most} {passcode}\n")
            writing.flush()
            return reading.readline().strip()

        yield made
        writing.close()


def ranged(request: Request, connection: Connection) -> None:
    """The file, or the range of it that was asked for."""
    fields = ['ETag: "v1"', "Accept-Ranges: bytes"]
    first, last = 0, len(BODY) - 1
    asked = request.values("range")
    if asked:
        given = asked[0].removeprefix("bytes=").split("-")
        first, last = int(given[0]), int(given[1] or last)
        fields.append(f"Content-Range: bytes {first}-{last}/{len(BODY)}")
    status = "206 Partial Content" if asked else "200 OK"
    connection.send(head(f"Content-Length: {last + 1 - first}", *fields, status=status))
    if request.method == "GET":
        connection.send(BODY[first : last + 1])


def fetch(portal: Portal, link: str, *fields: str, **options: str) -> Answer:
    return Exchange(portal.port, f"/s/{link}", *fields, **options).read()  # type: ignore[arg-type]


def refused(answer: Answer) -> bool:
    return answer.status == 404 and b"link_unusable" in answer.body


def test_a_link_gives_the_bytes_like_any_other_download(portal: Portal, make: Make) -> None:
    link = make(ranged, 2)

    looked = fetch(portal, link, method="HEAD")
    whole = fetch(portal, link)
    rest = fetch(portal, link, "Range: bytes=1000-", 'If-Range: "v1"')
    same = fetch(portal, link, 'If-None-Match: "v1"')

    assert (looked.status, looked.value("content-length")) == (200, str(len(BODY)))
    assert (whole.status, whole.body, whole.end) == (200, BODY, "complete")
    assert (rest.status, rest.body) == (206, BODY[1000:])
    assert same.status == 304
    assert whole.value("etag") == '"v1"'
    assert (whole.value("content-disposition") or "").startswith("attachment; filename=")
    for answer in (looked, whole, rest, same):
        assert answer.value("referrer-policy") == "no-referrer"
        assert answer.value("cache-control") == "private, no-store"
    record = portal.record(whole)
    assert record["link_id"] is not None
    assert record["username"] == "ann"


def test_the_query_is_the_links_own(portal: Portal, make: Make) -> None:
    link = make(ranged)
    case = portal.origin._cases[f"case{len(portal.origin._cases) - 1}"]

    fetch(portal, f"{link}?case=another&extra=1")

    assert [request.target for request in case.requests] == [f"/file?case={case.name}"]


def test_the_rest_of_a_download_is_not_counted_and_another_one_is(
    portal: Portal, make: Make
) -> None:
    link = make(ranged)
    first = Exchange(portal.port, f"/s/{link}", receive_buffer=4096)
    first.read_head()

    pieces = [fetch(portal, link, f"Range: bytes={at}-{at + 9}") for at in (0, 10, 20)]
    again = fetch(portal, link)
    first.leave()

    assert [piece.body for piece in pieces] == [BODY[:10], BODY[10:20], BODY[20:30]]
    assert refused(again)
    assert fetch(portal, link, "Range: bytes=30-").body == BODY[30:]
    # A range is no way to have the file more than some times; what was drawn is known later.
    assert until(lambda: refused(fetch(portal, link, "Range: bytes=1-")), 10)


def test_many_small_pieces_in_a_row_are_one_download(portal: Portal, make: Make) -> None:
    link = make(ranged, 2)
    assert fetch(portal, link).body == BODY

    def piece_at(place: int) -> Answer:
        wanted = f"Range: bytes={place}-{place}"
        while (answer := fetch(portal, link, wanted)).status == 429:
            time.sleep(0.2)
        return answer

    with ThreadPoolExecutor(8) as pool:
        pieces = list(pool.map(piece_at, range(60)))

    assert b"".join(piece.body for piece in pieces) == BODY[:60]
    assert fetch(portal, link).body == BODY
    assert refused(fetch(portal, link))


def test_a_range_that_begins_a_download_is_counted(portal: Portal, make: Make) -> None:
    link = make(ranged)

    assert fetch(portal, link, "Range: bytes=5-").body == BODY[5:]
    assert refused(fetch(portal, link))


def test_where_nothing_can_be_resumed_a_range_is_counted(portal: Portal, make: Make) -> None:
    """It is answered with everything."""

    def plain(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {len(BODY)}") + BODY)

    link = make(plain)

    assert fetch(portal, link).body == BODY
    assert refused(fetch(portal, link, "Range: bytes=1-"))


def test_of_many_at_once_with_one_left_one_gets_through(portal: Portal, make: Make) -> None:
    go = threading.Event()

    def waiting(request: Request, connection: Connection) -> None:
        go.wait(10)
        ranged(request, connection)

    link = make(waiting)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(fetch, portal, link) for _ in range(8)]
        assert until(lambda: sum(answer.done() for answer in answers) == 7, 20)
        go.set()
        found = [answer.result() for answer in answers]

    assert sorted(answer.status for answer in found) == [200] + [404] * 7
    assert all(answer.status == 200 or refused(answer) for answer in found)


@pytest.mark.parametrize("how", ["error", "client left", "same file"])
def test_what_ends_before_its_first_byte_uses_nothing_up(
    portal: Portal, make: Make, how: str
) -> None:
    tried = threading.Event()
    left = threading.Event()

    def late(request: Request, connection: Connection) -> None:
        if not tried.is_set() and how == "client left":
            tried.set()
            left.wait(10)
            connection.reset()
        elif not tried.is_set() and how == "error":
            tried.set()
            connection.send(head("Content-Length: 0", status="404 Not Found"))
        else:
            ranged(request, connection)

    link = make(late)
    if how == "client left":
        exchange = Exchange(portal.port, f"/s/{link}")
        assert tried.wait(10)
        exchange.leave()
        left.set()
        assert fetch(portal, link).body == BODY
        return
    fields = ['If-None-Match: "v1"'] if how == "same file" else []
    assert fetch(portal, link, *fields).status == (304 if fields else 502)

    # At once, as a second click does.
    assert fetch(portal, link).body == BODY
    assert refused(fetch(portal, link))


def test_what_the_source_breaks_off_uses_nothing_up(portal: Portal, make: Make) -> None:
    broken = threading.Event()

    def script(request: Request, connection: Connection) -> None:
        if broken.is_set():
            ranged(request, connection)
            return
        broken.set()
        connection.send(head(f"Content-Length: {len(BODY)}") + BODY[:100_000])
        connection.reset()

    link = make(script)

    cut = fetch(portal, link)

    assert cut.end in {"cut", "reset"}
    assert fetch(portal, link).body == BODY


def test_every_link_that_opens_nothing_gets_the_same_answer(portal: Portal, make: Make) -> None:
    used = make(ranged)
    fetch(portal, used)
    unknown = "0" * 12 + "_" + "A" * 43

    for fields in ([], ["Accept: text/html"]):
        answers = [fetch(portal, link, *fields) for link in (used, unknown, used + "x", "short")]
        assert {answer.status for answer in answers} == {404}
        assert len({answer.body for answer in answers}) == 1
        names = [{name.lower() for name, _ in answer.headers} for answer in answers]
        assert all(one == names[0] for one in names)
        for name in (b"ann", b"shared", b"Shared", b"s.csv"):
            assert name not in answers[0].body
        assert answers[0].value("referrer-policy") in {"no-referrer", "strict-origin"}


@pytest.mark.slow  # hashing a passcode takes its time
def test_a_passcode_is_sent_in_a_header(portal: Portal, make: Make) -> None:
    link = make(ranged, 1, PASSCODE)

    missing = fetch(portal, link)
    wrong = fetch(portal, link, "X-Passcode: guess")
    right = fetch(portal, link, f"X-Passcode: {PASSCODE}")
    rest = fetch(portal, link, f"X-Passcode: {PASSCODE}", "Range: bytes=9-")

    assert (missing.status, wrong.status) == (403, 403)
    assert b"passcode_required" in missing.body
    assert b"X-Passcode" in missing.body
    assert b"passcode_wrong" in wrong.body
    assert (right.body, rest.body) == (BODY, BODY[9:])
    limited = [fetch(portal, link, f"X-Passcode: guess{n}") for n in range(5)][-1]
    assert (limited.status, limited.value("retry-after")) == (429, "900")


def test_the_form_refuses_another_sites_post(portal: Portal, make: Make) -> None:
    link = make(ranged, 1, PASSCODE)

    assert fetch(portal, link, "Content-Length: 0", method="POST").status == 403


def test_no_log_has_a_link_a_passcode_or_a_token(portal: Portal, make: Make) -> None:
    link = make(ranged, 1, PASSCODE)
    # Django's own log names the address of a refused POST.
    fetch(portal, link, "Content-Length: 0", method="POST")
    fetch(portal, link, f"X-Passcode: {PASSCODE}")
    # With a token: taken, and refused with its address in Django's log.
    portal.get(ranged)
    portal.ask(portal.origin.on(ranged), slug="there-is-none").read()

    assert until(lambda: f"/s/{link[:12]}_***" in portal.log)
    assert link not in portal.log
    assert link[13:] not in portal.log
    assert PASSCODE not in portal.log
    assert portal.token[-43:] not in portal.log


@pytest.mark.slow
def test_a_stranger_enters_the_passcode_without_javascript(
    portal: Portal, make: Make, browser: Browser
) -> None:
    link = make(ranged, 1, PASSCODE)
    context = browser.new_context(
        base_url=f"http://127.0.0.1:{portal.port}", java_script_enabled=False
    )
    page = context.new_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.headers.get("referer", "")))

    page.goto(f"/s/{link}")
    page.get_by_label("Passcode").fill("guess")
    page.get_by_role("button", name="Download").click()
    expect(page.get_by_role("alert")).to_contain_text("not its passcode")
    page.get_by_label("Passcode").fill(PASSCODE)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()

    assert download.value.path().read_bytes() == BODY
    assert download.value.suggested_filename == "s.csv"
    assert not any(link[:12] in referrer for referrer in sent), sent
    page.goto(f"/s/{link}")
    expect(page.get_by_role("heading", name="does not work")).to_be_visible()
    context.close()


@pytest.mark.slow
def test_the_pages_of_links_please_axe(portal: Portal, make: Make, browser: Browser) -> None:
    context = browser.new_context(base_url=f"http://127.0.0.1:{portal.port}")
    page = context.new_page()
    page.goto(f"/s/{make(ranged, 1, PASSCODE)}")
    page.get_by_label("Passcode").fill("guess")
    page.get_by_role("button", name="Download").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert not faults_here(page)
    page.goto("/s/nothing")
    assert not faults_here(page)
    context.close()
