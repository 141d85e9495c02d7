"""Downloads that nginx carries: our headers, our records, our errors, and no secret on the way."""

import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from streams.delivery.offload import HIDDEN, SENT
from tests.functional.browsing import browser, sign_in
from tests.functional.client import Answer, Exchange
from tests.functional.conftest import CURRENT, PREVIOUS, ROOT, until
from tests.functional.nginx import PROGRAM, Chain, carrying, shipping
from tests.functional.origin import (
    Case,
    Connection,
    Origin,
    Request,
    Script,
    chunks,
    head,
    length,
    replying,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="needs the program nginx"),
]
__all__ = ["browser"]
# Seconds for a line to be written and shipped.
PATIENCE = 40.0
BODY = bytes(range(256)) * 8192
TAG = 'ETag: "v1"'
RANGES = "Accept-Ranges: bytes"
WHOLE = length(BODY, TAG, RANGES, "Content-Type: text/csv")


@pytest.fixture(scope="module")
def chain(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with carrying(tmp_path_factory.mktemp("offload"), origin) as made:
        yield made


def known(chain: Chain, script: Script, *, slug: str = "plain") -> Case:
    """A case that the portal has sent once, and that does from now on what `script` does."""
    case = chain.origin.on(replying(WHOLE))
    chain.get(case, slug=slug)
    case.script = script
    return case


def sent_by_nginx(chain: Chain, answer: Answer) -> bool:
    return bool(chain.portal.record(answer, PATIENCE)["offloaded"])


def test_a_version_that_the_portal_has_sent_is_sent_by_nginx_from_then_on(chain: Chain) -> None:
    case = chain.origin.on(replying(WHOLE))

    first, second = chain.get(case), chain.get(case)

    assert (first.status, first.body, first.end) == (200, BODY, "complete")
    assert (second.status, second.body, second.end) == (200, BODY, "complete")
    assert not sent_by_nginx(chain, first)
    record = chain.portal.record(second, PATIENCE)
    assert record["offloaded"]
    assert (record["state"], record["proof"]) == ("complete", "length")
    assert record["sent"] == record["size"] == len(BODY)
    assert record["first_byte_at"] >= record["started_at"]


def test_both_ways_give_the_same_head(chain: Chain) -> None:
    hostile = length(
        BODY, TAG, RANGES, "Content-Type: text/csv", "Set-Cookie: sessionid=stolen",
        "Content-Security-Policy: default-src *", "Access-Control-Allow-Origin: *",
        'Content-Disposition: inline; filename="../../x"', "X-Powered-By: canary",
        "Refresh: 0; url=https://elsewhere.example/", "Cache-Control: public, max-age=3600",
        "Expires: Mon, 23 Nov 2027 10:00:00 GMT", "Last-Modified: Mon, 23 Nov 2026 10:00:00 GMT",
    )  # fmt: skip
    case = chain.origin.on(replying(hostile))

    first, second = chain.get(case), chain.get(case)

    assert sent_by_nginx(chain, second)
    # The last two say in which language the portal speaks, which here it does not.
    ids = {"x-download-id", "x-request-id"}
    own = {*ids, "date", "connection", "keep-alive", "content-language", "vary"}
    heads = [
        {name.lower(): value for name, value in answer.headers if name.lower() not in own}
        for answer in (first, second)
    ]
    assert heads[0] == heads[1]
    assert all(second.value(name) for name in ids)
    assert "x-spillway" not in str(second.headers).lower()


def test_what_sends_a_field_that_nginx_would_pass_is_sent_by_the_portal(chain: Chain) -> None:
    case = chain.origin.on(replying(length(BODY, TAG, RANGES, "X-Unheard-Of: canary")))

    answers = [chain.get(case), chain.get(case)]

    assert not any(sent_by_nginx(chain, answer) for answer in answers)
    assert "canary" not in str(answers)


def test_an_origin_does_not_say_whose_download_it_is(chain: Chain) -> None:
    """nginx's log would tell the end of another one."""
    victim = chain.get(chain.origin.on(replying(WHOLE)))
    named = f"X-Download-Id: {victim.value('x-download-id')}"
    case = known(chain, replying(length(BODY, TAG, RANGES, named, "Content-Type: text/csv")))

    answer = chain.get(case)

    assert answer.body == BODY
    assert answer.value("x-download-id") != victim.value("x-download-id")
    assert sent_by_nginx(chain, answer)


@pytest.mark.parametrize(
    "opening",
    [
        pytest.param(head("Transfer-Encoding: chunked", TAG) + chunks(BODY), id="no length"),
        pytest.param(length(BODY, RANGES), id="no tag"),
        pytest.param(length(BODY, 'ETag: W/"v1"', RANGES), id="a weak tag"),
        pytest.param(length(BODY, TAG, "Content-Encoding: gzip"), id="coded"),
        pytest.param(length(BODY, TAG, f"Repr-Digest: sha-256=:{'A' * 43}=:"), id="provable"),
    ],
)
def test_what_nginx_could_not_tell_to_be_whole_is_sent_by_the_portal(
    chain: Chain, opening: bytes
) -> None:
    case = chain.origin.on(replying(opening))

    answers = [chain.get(case, "Accept-Encoding: gzip") for _ in range(2)]

    assert not any(sent_by_nginx(chain, answer) for answer in answers)


def test_segments_need_the_portal(chain: Chain) -> None:
    case = chain.origin.on(replying(WHOLE))

    answers = [chain.get(case, slug="parts") for _ in range(2)]

    assert [answer.body for answer in answers] == [BODY, BODY]
    assert not any(sent_by_nginx(chain, answer) for answer in answers)


def test_the_secret_reaches_the_origin_and_nobody_else(chain: Chain) -> None:
    case = known(chain, replying(WHOLE), slug="guarded")

    answer = chain.get(
        case, "x-secret-header: forged", "Cookie: sessionid=1", "X-Forwarded-For: 1.2.3.4",
        "X-Spillway-Send-X-Secret-Header: forged", slug="guarded",
    )  # fmt: skip

    assert sent_by_nginx(chain, answer)
    received = case.requests[-1]
    assert received.values("x-secret-header") == [CURRENT]
    names = {name.lower() for name, _ in received.headers}
    assert names <= SENT | {"host", "x-secret-header"}
    assert received.values("host") == [f"127.0.0.1:{chain.origin.port}"]
    seen = str(answer.headers) + chain.portal.log + chain.nginx.log.read_text()
    assert CURRENT not in seen
    assert PREVIOUS not in seen


@pytest.mark.parametrize("front", ["", "X-Spillway-Front: guess x-secret-header"])
def test_who_does_not_know_the_key_is_told_nothing(chain: Chain, front: str) -> None:
    case = known(chain, replying(WHOLE), slug="guarded")

    direct = chain.portal.ask(case, *filter(None, [front]), slug="guarded").read()

    assert (direct.status, direct.body) == (200, BODY)
    assert "x-accel-redirect" not in {name.lower() for name, _ in direct.headers}
    assert CURRENT not in str(direct.headers)


def test_nobody_reaches_the_internal_location(chain: Chain) -> None:
    assert Exchange(chain.nginx.port, "/-/offload").read().status == 404


def test_who_may_not_have_it_gets_nothing_from_nginx_either(chain: Chain) -> None:
    case = known(chain, replying(WHOLE))

    target = f"/exports/plain/download?case={case.name}"
    answer = Exchange(chain.nginx.port, target, "Authorization: Bearer spw_wrong").read()

    assert answer.status == 401
    assert len(case.requests) == 1


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ("bytes=0-99", (0, 100)),
        ("bytes=1000-", (1000, len(BODY))),
        ("bytes=-7", (len(BODY) - 7, len(BODY))),
    ],
)
def test_a_range_is_sent_by_nginx(chain: Chain, asked: str, span: tuple[int, int]) -> None:
    first, end = span
    part = BODY[first:end]
    content_range = f"Content-Range: bytes {first}-{end - 1}/{len(BODY)}"
    case = known(chain, replying(length(part, TAG, content_range, status="206 Partial Content")))

    answer = chain.get(case, f"Range: {asked}")

    assert (answer.status, answer.body) == (206, part)
    assert answer.value("content-range") == content_range.partition(": ")[2]
    assert answer.value("accept-ranges") == "bytes"
    assert case.requests[-1].values("if-match") == ['"v1"']
    record = chain.portal.record(answer, PATIENCE)
    assert (record["offloaded"], record["first"], record["sent"]) == (1, first, len(part))


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["Range: bytes=9999999-"], 416),
        (['If-None-Match: "v1"'], 304),
        (['If-Match: "v0"', "Range: bytes=5-"], 412),
        (["Range: bytes=5-", 'If-Range: "v0"'], 200),
    ],
)
def test_what_depends_on_the_version_of_now_is_asked_by_the_portal(
    chain: Chain, fields: list[str], status: int
) -> None:
    def script(request: Request, connection: Connection) -> None:
        beyond = request.values("range") == ["bytes=9999999-"]
        connection.send(
            length(b"", f"Content-Range: bytes */{len(BODY)}", status="416 Range Not Satisfiable")
            if beyond
            else WHOLE
        )
        connection.sock.close()

    case = known(chain, script)

    answer = chain.get(case, *fields)

    assert answer.status == status
    assert case.requests[-1].values("if-match") == []


@pytest.mark.parametrize("share", [0, 1, 0.6, 0.999])
def test_what_is_cut_is_seen_to_be_cut(chain: Chain, share: float) -> None:
    sent = int(len(BODY) * share) if share < 1 else 1
    opening = head(f"Content-Length: {len(BODY)}", TAG, RANGES)

    def script(_: Request, connection: Connection) -> None:
        connection.send(opening + BODY[:sent])
        time.sleep(0.2)
        connection.reset()

    answer = chain.get(known(chain, script))

    assert answer.status == 200
    assert answer.end in {"cut", "reset"}
    record = chain.portal.record(answer, PATIENCE)
    assert (record["state"], record["reason"]) == ("cut", "truncated")
    assert record["sent"] == len(answer.body) <= sent


def test_a_silent_origin_is_given_up(chain: Chain) -> None:
    def script(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {len(BODY)}", TAG, RANGES) + BODY[:1000])
        connection.wait_for_peer_to_leave()

    answer = chain.get(known(chain, script))

    assert answer.end in {"cut", "reset"}
    assert chain.portal.record(answer, PATIENCE)["state"] == "cut"


def test_a_client_that_leaves_frees_the_origin(chain: Chain) -> None:
    def endless(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {1 << 30}", TAG, RANGES))
        connection.pour(1 << 30)

    case = known(chain, endless)
    exchange = chain.ask(case, receive_buffer=65536)
    answer = exchange.read_head()
    time.sleep(1)

    assert case.connections[-1].sent < 64 << 20
    exchange.leave()

    assert case.left.wait(5)
    record = chain.portal.record(answer, PATIENCE)
    assert (record["state"], record["reason"]) == ("cancelled", "client_left")


def test_another_version_is_sent_by_the_portal_and_then_by_nginx(chain: Chain) -> None:
    changed = length(BODY[::-1], 'ETag: "v2"', RANGES)

    def script(request: Request, connection: Connection) -> None:
        outdated = request.values("if-match") == ['"v1"']
        connection.send(
            length(b"", status="412 Precondition Failed") if outdated else changed
        )  # fmt: skip
        connection.sock.close()

    case = known(chain, script)

    between, after = chain.get(case), chain.get(case)

    assert between.body == after.body == BODY[::-1]
    record = chain.portal.record(between, PATIENCE)
    assert (record["state"], record["offloaded"], record["sent"]) == ("complete", 0, len(BODY))
    assert sent_by_nginx(chain, after)
    assert case.requests[-1].values("if-match") == ['"v2"']


@pytest.mark.parametrize(
    ("answered", "status", "code"),
    [
        (length(b"gone", status="404 Not Found"), 502, "origin_not_found"),
        (length(b"<h1>no", status="500 Internal Server Error"), 502, "origin_status"),
        (head("Location: https://elsewhere.example/", status="302 Found"), 502, "origin_redirect"),
        (b"", 502, "origin_unreachable"),
    ],
)
def test_an_error_is_told_by_the_portal(
    chain: Chain, answered: bytes, status: int, code: str
) -> None:
    case = known(chain, replying(answered))

    answer = chain.get(case)

    assert answer.status == status, answer
    assert code.encode() in answer.body
    record = chain.portal.record(answer, PATIENCE)
    assert (record["state"], record["offloaded"]) == ("failed", 0)
    again = chain.get(case)
    # Not by way of nginx a second time.
    assert not any(request.values("if-match") for request in case.requests[3:]), again


def test_the_other_value_of_a_secret_is_tried_as_ever(chain: Chain) -> None:
    def script(request: Request, connection: Connection) -> None:
        good = request.values("x-secret-header") == [PREVIOUS]
        connection.send(WHOLE if good else length(b"", status="403 Forbidden"))
        connection.sock.close()

    case = known(chain, script, slug="guarded")

    answer = chain.get(case, slug="guarded")

    assert (answer.status, answer.body) == (200, BODY)


def test_a_download_of_somebody_else_cannot_be_taken_over(chain: Chain) -> None:
    held: list[Exchange] = []

    def script(request: Request, connection: Connection) -> None:
        if request.values("if-match"):
            connection.send(head(f"Content-Length: {len(BODY)}", TAG, RANGES) + BODY[:9])
            connection.wait_for_peer_to_leave()
        else:
            connection.send(WHOLE)

    case = known(chain, script)
    held.append(chain.ask(case))
    running_id = held[0].read_head().value("x-download-id")

    # nginx says nothing of what a client says.
    answer = chain.get(case, f"X-Spillway-Returned: {running_id}")

    assert answer.value("x-download-id") != running_id
    held[0].leave()


def test_what_was_logged_while_nobody_shipped_is_made_up_for(
    origin: Origin, tmp_path: Path
) -> None:
    with carrying(tmp_path, origin, ships=False) as chain:
        portal, nginx = chain.portal, chain.nginx
        case = known(chain, replying(WHOLE))
        before = chain.get(case)
        with shipping(portal, nginx.log):
            assert sent_by_nginx(chain, before)
        renamed = [chain.get(case)]
        # As logrotate does it.
        nginx.log.rename(nginx.log.with_name("offload.log.1"))
        nginx.process.send_signal(signal.SIGUSR1)
        assert until(nginx.log.exists)
        renamed.append(chain.get(case))
        with shipping(portal, nginx.log):
            assert all(sent_by_nginx(chain, answer) for answer in renamed)


def test_its_page_says_who_knows_how_far_it_is(chain: Chain, browser: Browser) -> None:
    held = threading.Event()

    def script(request: Request, connection: Connection) -> None:
        if request.values("if-match"):
            connection.send(head(f"Content-Length: {len(BODY)}", TAG, RANGES))
            given = 0
            # nginx waits for two seconds here, and the page may take longer.
            while given < len(BODY) // 2 and not held.wait(0.2):
                connection.send(BODY[given : given + 9])
                given += 9
            connection.send(BODY[given:])
        else:
            connection.send(WHOLE)

    case = known(chain, script)
    exchange = chain.ask(case)
    # By itself: the Host that nginx names has no port, which a form must have here.
    page = browser.new_page(base_url=f"http://127.0.0.1:{chain.portal.port}", locale="en-GB")
    sign_in(page)
    page.goto("/exports/plain/")
    panel = page.locator("#progress .running")
    expect(panel).to_contain_text("Your browser shows how far it is")
    expect(panel.get_by_role("progressbar")).to_have_count(0)

    held.set()
    assert exchange.read().body == BODY

    expect(page.get_by_role("heading", name="Everything was sent")).to_be_visible(timeout=40_000)
    page.close()


def test_the_configuration_hides_and_sends_what_the_portal_believes() -> None:
    text = (ROOT / "deploy" / "nginx-offload.conf").read_text()

    hidden = re.findall(r"proxy_hide_header ([\w-]+);", text)
    sent = re.findall(r"\$upstream_http_x_spillway_send_(\w+);", text)

    assert {name.lower() for name in hidden} - {"content-type"} == HIDDEN
    assert {name.replace("_", "-") for name in sent} == SENT | {"x-secret-header"}
