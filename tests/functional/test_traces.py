"""Spans of downloads as a collector gets them: as long as the body, and with no secret in them."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.client import Answer
from tests.functional.collector import Collector, collecting, said, seconds
from tests.functional.conftest import CURRENT, Portal, running, until
from tests.functional.origin import (
    Case,
    Connection,
    Origin,
    Request,
    chunks,
    head,
    length,
    replying,
)
from tests.functional.test_resume import CUT, breaking, reset
from tests.functional.test_segments import honest

pytestmark = pytest.mark.slow
CALLER = f"00-{'4' * 32}-{'5' * 16}-01"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture(scope="module")
def portal(
    origin: Origin, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Portal]:
    told: dict[str, Any] = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with running(tmp_path_factory.mktemp("portal"), origin, **told) as made:
        yield made


Told = tuple[str, dict[str, Any], float]


def download(collector: Collector, answer: Answer) -> tuple[dict[str, Any], float, list[Told]]:
    """What the span of this download says, its seconds, and what its children say."""
    pk = answer.value("x-download-id")

    def found() -> bool:
        return any(said(span)["download"] == pk for span in collector.named("download"))

    assert until(found), "no span of this download came"
    (span,) = [one for one in collector.named("download") if said(one)["download"] == pk]
    children = [one for one in collector.spans if one.parent_span_id == span.span_id]
    assert {one.trace_id for one in children} <= {span.trace_id}
    children.sort(key=lambda one: one.start_time_unix_nano)
    return said(span), seconds(span), [(one.name, said(one), seconds(one)) for one in children]


def test_a_span_lasts_as_long_as_the_body(portal: Portal, collector: Collector) -> None:
    def slowly(_: Request, connection: Connection) -> None:
        connection.send(head("Content-Length: 10", 'ETag: "v1"') + b"01234")
        time.sleep(1)
        connection.send(b"56789")

    answer = portal.get(slowly, "X-Request-Id: request-4711")

    told, took, children = download(collector, answer)
    assert took > 1
    assert (told["state"], told["sent"], told["status"]) == ("complete", 10, 200)
    assert (told["endpoint"], told["kind"], told["proof"]) == ("plain", "http", "length")
    assert told["request_id"] == "request-4711"
    ((name, _, lasted),) = children
    assert name == "origin request"
    assert lasted > 1, "of one request, too: until its last byte"


def test_each_request_to_the_origin_is_a_span_within(portal: Portal, collector: Collector) -> None:
    resumed = portal.get(breaking((CUT, reset)))
    told, _, children = download(collector, resumed)
    assert told["resumes"] == 1
    assert [said.get("first") for _, said, _ in children] == [None, CUT]

    parts = portal.get(honest, slug="parts")
    told, _, children = download(collector, parts)
    firsts = [said["first"] for _, said, _ in children]
    assert len(firsts) > 4
    assert sorted(firsts) == list(range(0, len(firsts) * 65536, 65536))


def test_what_fails_says_by_which_code(portal: Portal, collector: Collector) -> None:
    refused = portal.get(replying(length(b"canary", status="500 Oops")))
    told, _, children = download(collector, refused)
    assert (told["state"], told["status"]) == ("failed", 502)
    assert children

    cut = portal.get(replying(head("Transfer-Encoding: chunked") + chunks(b"abc", last=b"x")))
    told, _, _ = download(collector, cut)
    assert told["state"] == "cut"
    failed = [one.status.message for one in collector.named("download") if one.status.code == 2]
    assert "origin_status" in failed


def test_a_client_that_leaves_ends_it(portal: Portal, collector: Collector) -> None:
    def endless(_: Request, connection: Connection) -> None:
        connection.send(head("Transfer-Encoding: chunked") + chunks(b"abc", last=b""))
        connection.wait_for_peer_to_leave()

    exchange = portal.ask(portal.origin.on(endless))
    answer = exchange.read_head()
    exchange.sock.close()

    told, _, _ = download(collector, answer)
    assert (told["state"], told["sent"]) == ("cancelled", 3)


def test_the_caller_is_linked_to_and_the_origin_is_told_nothing(
    portal: Portal, collector: Collector
) -> None:
    case: Case = portal.origin.on(replying(length(b"data")))

    answer = portal.ask(case, f"traceparent: {CALLER}", "tracestate: a=b").read()

    assert download(collector, answer)
    (linked,) = [one for one in collector.named("download") if one.links]
    assert linked.links[0].trace_id.hex() == "4" * 32
    assert linked.trace_id.hex() != "4" * 32
    assert not linked.parent_span_id
    assert not [name for name, _ in case.requests[0].headers if name.lower().startswith("trace")]
    told = [line for line in portal.log.splitlines() if str(answer.value("x-download-id")) in line]
    assert f'"trace_id": "{linked.trace_id.hex()}"' in told[-1]


def test_nothing_secret_is_in_any_of_it(portal: Portal, collector: Collector) -> None:
    def asked(request: Request, connection: Connection) -> None:
        fits = request.values("x-secret-header") == [CURRENT]
        connection.send(length(b"data") if fits else length(b"no", status="403 No"))

    case = portal.origin.on(asked)
    answer = portal.ask(case, slug="guarded", query="&key=canary-query").read()
    assert answer.body == b"data"
    download(collector, answer)

    told = b"".join(collector.bodies)
    assert b"guarded" in told
    for secret in (CURRENT, portal.token, portal.token.partition("_")[2], "canary", "case="):
        assert secret.encode() not in told
