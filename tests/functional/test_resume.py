"""An origin that breaks off, and a client that notices nothing, or a cut: never a splice."""

import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functional.conftest import CURRENT, ROOT, Portal, running
from tests.functional.origin import Connection, Origin, Request, Script, head

EITHER_FRONT = True

DATA = random.Random(3).randbytes(1_500_000)
CUT = 600_000


def start_of(request: Request) -> int:
    asked = request.values("range")
    return int(re.findall(r"bytes=(\d+)-", asked[0])[0]) if asked else 0


def first_head(*fields: str, etag: str = '"v1"') -> bytes:
    return head(f"Content-Length: {len(DATA)}", f"ETag: {etag}", "Accept-Ranges: bytes", *fields)


def rest(request: Request, *, etag: str = '"v1"', total: int = len(DATA), shift: int = 0) -> bytes:
    """The head of the 206 that belongs to `request`, or of one that is slightly different."""
    start, end = start_of(request) + shift, len(DATA) - 1
    if asked := re.findall(r"-(\d+)$", request.values("range")[0]):
        end = int(asked[0])
    fields = [f"Content-Length: {end - start + 1}", f"Content-Range: bytes {start}-{end}/{total}"]
    if etag:
        fields.append(f"ETag: {etag}")
    return head(*fields, status="206 Partial Content")


def reset(connection: Connection) -> None:
    connection.reset()


def close(connection: Connection) -> None:
    connection.sock.close()


def stall(connection: Connection) -> None:
    connection.wait_for_peer_to_leave()


def breaking(*ends: tuple[int, Callable[[Connection], None]]) -> Script:
    """Serves `DATA`; the n-th answer ends at an offset, in one way or another."""
    left = list(ends)

    def script(request: Request, connection: Connection) -> None:
        start = start_of(request)
        connection.send(rest(request) if start else first_head())
        if left:
            stop, end = left.pop(0)
            connection.send(DATA[start:stop])
            end(connection)
        else:
            connection.send(DATA[start:])

    return script


@pytest.mark.parametrize("end", [reset, close, stall])
def test_a_break_is_mended_unseen(portal: Portal, end: Callable[[Connection], None]) -> None:
    case = portal.origin.on(breaking((CUT, end)))

    answer = portal.ask(case).read()

    assert (answer.status, answer.framing, answer.end) == (200, "length", "complete")
    assert answer.body == DATA
    first, second = case.requests
    assert first.values("range") == []
    assert second.values("range") == [f"bytes={CUT}-{len(DATA) - 1}"]
    assert second.values("if-range") == ['"v1"']
    assert second.values("accept-encoding") == ["identity"]
    record = portal.record(answer)
    assert (record["state"], record["sent"], record["resumes"]) == ("complete", len(DATA), 1)


def test_many_breaks_are_mended(portal: Portal) -> None:
    offsets = range(100_000, 1_500_000, 200_000)
    case = portal.origin.on(breaking(*((offset, reset) for offset in offsets)))

    answer = portal.ask(case).read()

    assert answer.body == DATA
    assert portal.record(answer)["resumes"] == len(offsets)


def test_a_part_is_mended_within_itself(portal: Portal) -> None:
    def script(request: Request, connection: Connection) -> None:
        start = start_of(request)
        connection.send(rest(request))
        if start == 1000:
            connection.send(DATA[1000:2000])
            connection.reset()
        else:
            connection.send(DATA[start:5000])

    case = portal.origin.on(script)

    answer = portal.ask(case, "Range: bytes=1000-4999").read()

    assert (answer.status, answer.end) == (206, "complete")
    assert answer.value("content-range") == f"bytes 1000-4999/{len(DATA)}"
    assert answer.body == DATA[1000:5000]
    assert case.requests[1].values("range") == ["bytes=2000-4999"]


def whole_of_another(_: Request) -> bytes:
    return first_head(etag='"v2"') + b"\0" * len(DATA)


def whole_again(_: Request) -> bytes:
    return first_head() + DATA


def part(**changes: str | int) -> Callable[[Request], bytes]:
    def answer(request: Request) -> bytes:
        return rest(request, **changes) + b"\0" * (len(DATA) - CUT)  # type: ignore[arg-type]

    return answer


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (whole_of_another, "changed"),
        (whole_again, "truncated"),
        (part(etag='"v2"'), "changed"),
        (part(etag='W/"v1"'), "changed"),
        (part(etag=""), "changed"),
        (part(total=len(DATA) + 1), "truncated"),
        (part(shift=1), "truncated"),
        (lambda _: head("Content-Length: 0", status="412 Precondition Failed"), "changed"),
        (lambda _: head("Content-Length: 0", status="416 Range Not Satisfiable"), "truncated"),
        (lambda _: head("Content-Length: 0", status="404 Not Found"), "truncated"),
        (lambda _: b"nonsense\r\n\r\n", "truncated"),
    ],
)
def test_what_is_not_exactly_the_rest_is_never_spliced(
    portal: Portal, second: Callable[[Request], bytes], reason: str
) -> None:
    def script(request: Request, connection: Connection) -> None:
        if start_of(request):
            connection.send(second(request))
            connection.sock.close()
        else:
            connection.send(first_head() + DATA[:CUT])
            connection.reset()

    case = portal.origin.on(script)

    answer = portal.ask(case).read()

    assert (answer.status, answer.end) in {(200, "cut"), (200, "reset")}
    assert answer.body == DATA[:CUT]
    assert len(case.requests) == 2
    record = portal.record(answer)
    assert (record["state"], record["reason"], record["sent"]) == ("cut", reason, CUT)


@pytest.mark.parametrize(
    "opening",
    [
        head(f"Content-Length: {len(DATA)}", "Accept-Ranges: bytes"),
        first_head(etag='W/"v1"'),
        first_head("Content-Encoding: gzip"),
        head("Transfer-Encoding: chunked", 'ETag: "v1"', "Accept-Ranges: bytes") + b"5\r\n",
    ],
)
def test_without_a_sure_sign_nothing_is_asked_again(portal: Portal, opening: bytes) -> None:
    def script(_: Request, connection: Connection) -> None:
        connection.send(opening + b"hello")
        connection.reset()

    case = portal.origin.on(script)

    answer = portal.ask(case, "Accept-Encoding: gzip").read()

    assert answer.end in {"cut", "reset"}
    assert len(case.requests) == 1


def test_an_origin_that_stays_away_is_given_up(portal: Portal) -> None:
    def script(request: Request, connection: Connection) -> None:
        if not start_of(request):
            connection.send(first_head() + DATA[:CUT])
        connection.reset()

    case = portal.origin.on(script)
    begun = time.monotonic()

    answer = portal.ask(case).read()

    assert answer.end in {"cut", "reset"}
    assert answer.body == DATA[:CUT]
    assert time.monotonic() - begun < 15
    # Four times, each with the one repetition that a lost connection is worth.
    assert len(case.requests) == 9
    assert portal.record(answer)["resumes"] == 4


def test_when_the_client_leaves_nothing_is_asked_again(portal: Portal) -> None:
    case = portal.origin.on(breaking((CUT, reset)))
    exchange = portal.ask(case)
    answer = exchange.read_head()
    while len(exchange.rest()) < CUT:
        exchange.more()

    exchange.leave()

    record = portal.record(answer)
    assert record["state"] == "cancelled"
    requests = len(case.requests)
    time.sleep(1)
    assert len(case.requests) == requests


@pytest.mark.slow
def test_the_secret_is_read_again(origin: Origin, tmp_path: Path) -> None:
    """Much later than at the start, when it has been rotated twice."""
    newest = "newest-" + "n" * 32

    def apply(value: str) -> None:
        subprocess.run(
            [sys.executable, "manage.py", "apply", str(tmp_path / "registry.yaml")],
            cwd=ROOT,
            env={**portal.environment, "GUARD": value},
            check=True,
            capture_output=True,
        )

    def script(request: Request, connection: Connection) -> None:
        start, value = start_of(request), request.values("x-secret-header")[0]
        if not start:
            connection.send(first_head() + DATA[:CUT])
            apply("between-" + "b" * 32)
            apply(newest)
            connection.reset()
        elif value == newest:
            connection.send(rest(request) + DATA[start:])
        else:
            connection.send(head("Content-Length: 0", status="403 Forbidden"))

    with running(tmp_path, origin, SPILLWAY_IDLE_TIMEOUT="30") as portal:
        case = origin.on(script)
        answer = portal.ask(case, slug="guarded").read()

        assert answer.body == DATA
        assert case.requests[0].values("x-secret-header") == [CURRENT]
        assert len(case.requests) == 2
