"""One file in parallel ranges (64 KiB, four at a time): in order, and of one version."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.functional.conftest import Portal, until
from tests.functional.origin import Connection, Request, Script, chunks, head, length

EITHER_FRONT = True

SEGMENT = 64 * 1024
PARALLEL = 4
DATA = random.Random(5).randbytes(20 * SEGMENT + 1234)


def span_of(request: Request, data: bytes = DATA) -> tuple[int, int]:
    asked = request.values("range")
    if not asked:
        return 0, len(data) - 1
    first, last = asked[0].removeprefix("bytes=").split("-")
    return int(first), min(int(last or len(data) - 1), len(data) - 1)


def part(request: Request, data: bytes = DATA, *, etag: str = '"v1"', shift: int = 0) -> bytes:
    """The head of an honest answer, or of one that is slightly different."""
    first, last = span_of(request, data)
    fields = [f"ETag: {etag}"] if etag else []
    fields += ["Accept-Ranges: bytes", f"Content-Length: {last - first + 1}"]
    if not request.values("range"):
        return head(*fields)
    stated = f"Content-Range: bytes {first + shift}-{last + shift}/{len(data)}"
    return head(*fields, stated, status="206 Partial Content")


def honest(request: Request, connection: Connection, data: bytes = DATA) -> None:
    first, last = span_of(request, data)
    connection.send(part(request, data) + data[first : last + 1])


Fault = Callable[[Request, Connection], None]


def half(end: Callable[[Connection], None]) -> Fault:
    def fault(request: Request, connection: Connection) -> None:
        first, last = span_of(request)
        connection.send(part(request) + DATA[first : (first + last) // 2])
        time.sleep(0.05)
        end(connection)

    return fault


def sending(data: bytes) -> Fault:
    def fault(_: Request, connection: Connection) -> None:
        connection.send(data)
        connection.sock.close()

    return fault


def bad_chunk(request: Request, connection: Connection) -> None:
    first, last = span_of(request)
    stated = f"Content-Range: bytes {first}-{last}/{len(DATA)}"
    fields = ('ETag: "v1"', stated, "Transfer-Encoding: chunked")
    connection.send(head(*fields, status="206 Partial Content"))
    connection.send(chunks(DATA[first : first + 5000], last=b"xyz\r\n"))


# What a segment is fetched again for, alone.
PASSING: dict[str, Fault] = {
    "closed midway": half(lambda connection: connection.sock.close()),
    "reset midway": half(Connection.reset),
    "silent midway": half(Connection.wait_for_peer_to_leave),
    "reset before the head": lambda _, connection: connection.reset(),
    "no head": sending(b""),
    "half a head": sending(b"HTTP/1.1 206 Partial"),
    "500": sending(length(b"", status="500 Oops")),
    "503": sending(length(b"", status="503 Busy")),
    "403 while a secret spreads": sending(length(b"", status="403 No")),
    "429": sending(length(b"", "Retry-After: 1", status="429 Slow")),
    "a bad chunk": bad_chunk,
}


def failing(fault: Fault, *, at: int, times: int) -> Script:
    """Has `fault` in the segment that begins at `at`, for so many requests of bytes of it."""
    left = [times]

    def script(request: Request, connection: Connection) -> None:
        first, _ = span_of(request)
        if at <= first < at + SEGMENT and left[0]:
            left[0] -= 1
            fault(request, connection)
        else:
            honest(request, connection)

    return script


def test_the_file_arrives_in_order_for_one_request_a_segment(portal: Portal) -> None:
    case = portal.origin.on(honest)

    answer = portal.ask(case, slug="parts").read()

    assert (answer.status, answer.end, answer.framing) == (200, "complete", "length")
    assert answer.body == DATA
    asked = [request.values("range")[0] for request in case.requests]
    assert len(asked) == len(set(asked)) == 21


@pytest.mark.parametrize("fault", PASSING)
def test_a_segment_that_fails_is_fetched_again_alone(portal: Portal, fault: str) -> None:
    case = portal.origin.on(failing(PASSING[fault], at=3 * SEGMENT, times=1))

    answer = portal.ask(case, slug="parts").read()

    assert (answer.status, answer.end) == (200, "complete")
    assert answer.body == DATA
    starts = Counter(span_of(request)[0] // SEGMENT for request in case.requests)
    assert {start: count for start, count in starts.items() if count > 1}.keys() <= {3}
    assert portal.record(answer)["state"] == "complete"


@pytest.mark.parametrize(
    "fault",
    [
        "reset before the head",
        pytest.param("500", marks=pytest.mark.slow),
        pytest.param("403 while a secret spreads", marks=pytest.mark.slow),
    ],
)
def test_a_segment_that_cannot_be_had_is_a_cut_after_those_before(
    portal: Portal, fault: str
) -> None:
    case = portal.origin.on(failing(PASSING[fault], at=3 * SEGMENT, times=999))

    answer = portal.ask(case, slug="parts", seconds=30).read()

    assert (answer.status, answer.end) == (200, "cut")
    assert len(answer.body) >= 3 * SEGMENT
    assert DATA.startswith(answer.body)
    record = portal.record(answer)
    assert (record["state"], record["reason"]) == ("cut", "truncated")
    assert len(case.requests) < 40


OTHER = bytes(reversed(DATA))
CHANGED: dict[str, tuple[Fault, str]] = {
    "another tag": (lambda r, c: c.send(part(r, etag='"v2"') + OTHER[:SEGMENT]), "changed"),
    "a weak tag": (lambda r, c: c.send(part(r, etag='W/"v1"') + OTHER[:SEGMENT]), "changed"),
    "no tag": (lambda r, c: c.send(part(r, etag="") + OTHER[:SEGMENT]), "changed"),
    "another size": (lambda r, c: c.send(part(r, DATA + b"x") + DATA[:SEGMENT]), "truncated"),
    "another part": (lambda r, c: c.send(part(r, shift=1) + DATA[:SEGMENT]), "truncated"),
    "everything, of another version": (
        lambda r, c: c.send(length(OTHER, 'ETag: "v2"')),
        "changed",
    ),
    "everything": (lambda r, c: c.send(length(DATA, 'ETag: "v1"')), "truncated"),
    "412": (lambda r, c: c.send(length(b"", status="412 Changed")), "changed"),
    "416": (lambda r, c: c.send(length(b"", status="416 No")), "truncated"),
    "404": (lambda r, c: c.send(length(b"", status="404 Gone")), "truncated"),
}


@pytest.mark.parametrize("change", CHANGED)
def test_segments_of_two_versions_are_never_joined(portal: Portal, change: str) -> None:
    fault, reason = CHANGED[change]
    case = portal.origin.on(failing(fault, at=2 * SEGMENT, times=999))

    answer = portal.ask(case, slug="parts").read()

    assert (answer.status, answer.end) == (200, "cut")
    assert answer.body == DATA[: 2 * SEGMENT]
    record = portal.record(answer)
    assert (record["state"], record["reason"]) == ("cut", reason)


def test_more_bytes_than_a_segment_has_are_not_delivered(portal: Portal) -> None:
    def fault(request: Request, connection: Connection) -> None:
        first, last = span_of(request)
        stated = f"Content-Range: bytes {first}-{last}/{len(DATA)}"
        fields = ('ETag: "v1"', stated, "Transfer-Encoding: chunked")
        connection.send(head(*fields, status="206 Partial Content"))
        connection.send(chunks(DATA[first : last + 1] + b"more"))

    case = portal.origin.on(failing(fault, at=2 * SEGMENT, times=999))

    answer = portal.ask(case, slug="parts").read()

    assert answer.end == "cut"
    assert DATA.startswith(answer.body)


@dataclass
class Turnstile:
    """An origin that answers 429 to more requests at once than it likes."""

    places: int
    inside: int = 0
    most: int = 0
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request, connection: Connection) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            full = self.inside > self.places
            self.refused += full
        try:
            if full:
                connection.send(length(b"", "Retry-After: 1", status="429 Slow"))
            else:
                time.sleep(0.05)
                honest(request, connection)
        finally:
            with self.lock:
                self.inside -= 1


def test_no_more_segments_are_under_way_than_was_said(portal: Portal) -> None:
    origin = Turnstile(999)

    answer = portal.ask(portal.origin.on(origin), slug="parts").read()

    assert answer.body == DATA
    assert 2 <= origin.most <= PARALLEL


def test_an_origin_that_is_too_busy_is_asked_for_fewer(portal: Portal) -> None:
    origin = Turnstile(2)

    answer = portal.ask(portal.origin.on(origin), slug="parts", seconds=30).read()

    assert (answer.end, answer.body) == ("complete", DATA)
    assert 0 < origin.refused < 8


@pytest.mark.parametrize("size", [1, SEGMENT - 1, SEGMENT])
def test_a_small_file_costs_one_request(portal: Portal, size: int) -> None:
    data = DATA[:size]
    case = portal.origin.on(lambda request, connection: honest(request, connection, data))

    answer = portal.ask(case, slug="parts").read()

    assert (answer.status, answer.end, answer.body) == (200, "complete", data)
    assert len(case.requests) == 1


def test_an_empty_file_is_complete(portal: Portal) -> None:
    def script(request: Request, connection: Connection) -> None:
        if request.values("range"):
            connection.send(length(b"", "Content-Range: bytes */0", status="416 Empty"))
        else:
            connection.send(length(b"", 'ETag: "v1"'))

    answer = portal.get(script, slug="parts")

    assert (answer.status, answer.end, answer.body) == (200, "complete", b"")


def test_an_origin_without_ranges_is_asked_once_and_read_through(portal: Portal) -> None:
    case = portal.origin.on(lambda _, connection: connection.send(length(DATA)))

    answer = portal.ask(case, slug="parts").read()

    assert (answer.status, answer.end) == (200, "complete")
    assert answer.body == DATA
    assert len(case.requests) == 1


@pytest.mark.parametrize("etag", ["", 'W/"v1"'])
def test_without_a_strong_tag_it_comes_in_one_stream(portal: Portal, etag: str) -> None:
    def script(request: Request, connection: Connection) -> None:
        first, last = span_of(request)
        connection.send(part(request, etag=etag) + DATA[first : last + 1])

    case = portal.origin.on(script)

    answer = portal.ask(case, slug="parts").read()

    assert (answer.end, answer.body) == ("complete", DATA)
    assert [bool(request.values("range")) for request in case.requests] == [True, False]


@pytest.mark.direct  # nginx has buffers of its own
def test_a_client_that_does_not_read_holds_the_segments_back(portal: Portal) -> None:
    big = random.Random(6).randbytes(16 << 20)
    case = portal.origin.on(lambda request, connection: honest(request, connection, big))
    exchange = portal.ask(case, slug="parts", receive_buffer=8192)
    exchange.read_head()
    time.sleep(1)
    asked = len(case.requests)

    time.sleep(1)

    # What the kernels hold between the portal and its client is some 6 MiB at most.
    assert len(case.requests) <= asked + 1 < 6 * (1 << 20) / SEGMENT + PARALLEL
    exchange.leave()


def test_when_the_client_leaves_no_segment_goes_on(portal: Portal) -> None:
    def script(request: Request, connection: Connection) -> None:
        connection.send(part(request) + DATA[:100])
        if span_of(request)[0]:
            connection.wait_for_peer_to_leave()
            raise ConnectionError
        first, last = span_of(request)
        connection.send(DATA[first + 100 : last + 1])

    case = portal.origin.on(script)
    exchange = portal.ask(case, slug="parts")
    answer = exchange.read_head()
    assert until(lambda: len(case.requests) >= 2)

    exchange.leave()

    assert case.left.wait(3)
    record = portal.record(answer)
    assert (record["state"], record["reason"]) == ("cancelled", "client_left")
    asked = len(case.requests)
    time.sleep(0.5)
    assert len(case.requests) == asked


def test_a_slow_origin_is_asked_for_more_before_its_first_segment_has_ended(portal: Portal) -> None:
    ended: list[int] = []
    begun: dict[int, bool] = {}

    def script(request: Request, connection: Connection) -> None:
        first, last = span_of(request)
        begun[first // SEGMENT] = not ended
        connection.send(part(request))
        for at in range(first, last + 1, SEGMENT // 8):
            connection.send(DATA[at : min(at + SEGMENT // 8, last + 1)])
            time.sleep(0.25)
        ended.append(first // SEGMENT)

    answer = portal.get(script, f"Range: bytes=0-{4 * SEGMENT - 1}", slug="parts")

    assert answer.body == DATA[: 4 * SEGMENT]
    assert begun == dict.fromkeys(range(4), True)
