"""From origin to client: what is whole arrives whole, and what is not is seen to be cut."""

import gzip
import random
import time

import pytest

from tests.functional.conftest import EITHER_WAY, Portal
from tests.functional.origin import Connection, Request, Script, chunks, head, length, replying

EITHER_FRONT = True

CHUNKED = head("Transfer-Encoding: chunked")
REPORT = (
    b"Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n"
    b"Lambda-Runtime-Function-Error-Body: eyJlcnJvck1lc3NhZ2UiOiAibm8ifQ==\r\n"
)


def test_a_body_with_a_length_keeps_it(portal: Portal) -> None:
    answer = portal.get(replying(length(b"hello")))

    assert (answer.status, answer.body, answer.end) == (200, b"hello", "complete")
    assert answer.framing == "length"
    record = portal.record(answer)
    assert (record["state"], record["sent"], record["size"], record["proof"]) == (
        "complete", 5, 5, "length",
    )  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        CHUNKED + chunks(b"he", b"llo"),
        CHUNKED + chunks(b"hello", last=b"0\r\nX-Note: dropped\r\n\r\n"),
        head("Connection: close") + b"hello",
    ],
)
def test_a_body_without_length_goes_out_in_chunks(portal: Portal, data: bytes) -> None:
    answer = portal.get(replying(data))

    assert (answer.status, answer.body, answer.end) == (200, b"hello", "complete")
    assert answer.framing == "chunked"
    record = portal.record(answer)
    assert (record["state"], record["sent"], record["size"]) == ("complete", 5, None)


def test_to_http_1_0_a_body_without_length_ends_with_the_connection(portal: Portal) -> None:
    answer = portal.get(replying(CHUNKED + chunks(b"hello")), version="1.0")

    assert (answer.body, answer.end, answer.framing) == (b"hello", "complete", "close")


@pytest.mark.direct  # nginx closes such a connection
def test_to_http_1_0_a_broken_body_ends_in_a_reset(portal: Portal) -> None:
    script = replying(CHUNKED + chunks(b"hello", last=b""), b"zz\r\n")

    answer = portal.get(script, version="1.0")

    assert answer.end == "reset"


@pytest.mark.parametrize(
    "data",
    [length(b""), CHUNKED + chunks(), head(status="204 No Content"), head("Connection: close")],
)
def test_an_empty_file_is_a_complete_answer(portal: Portal, data: bytes) -> None:
    answer = portal.get(replying(data))

    assert answer.status in {200, 204}
    assert (answer.body, answer.end) == (b"", "complete")
    assert portal.record(answer)["state"] == "complete"


def resetting(data: bytes) -> Script:
    def script(_: Request, connection: Connection) -> None:
        connection.send(data)
        time.sleep(0.2)
        connection.reset()

    return script


def stalling(data: bytes) -> Script:
    def script(_: Request, connection: Connection) -> None:
        connection.send(data)
        connection.wait_for_peer_to_leave()
        raise ConnectionError

    return script


PART = b"p" * 1000
BROKEN = {
    "short of its length": replying(head("Content-Length: 5000") + PART),
    "short of its length, by reset": resetting(head("Content-Length: 5000") + PART),
    "short of it, with a blank before the colon": replying(head("Content-Length : 5000") + PART),
    "no last chunk": replying(CHUNKED + chunks(PART, last=b"")),
    "within a chunk": replying(CHUNKED + b"1000\r\n" + PART),
    "no last chunk, by reset": resetting(CHUNKED + chunks(PART, last=b"")),
    "until closed, by reset": resetting(head("Connection: close") + PART),
    "a bad chunk size": replying(CHUNKED + chunks(PART, last=b""), b"xyz\r\n", keep_open=True),
    "a chunk too long": replying(CHUNKED + chunks(PART, last=b""), b"2\r\nabc\r\n", keep_open=True),
    "trailers that report a failure": replying(
        CHUNKED + chunks(PART, last=b"0\r\n" + REPORT + b"\r\n")
    ),
}


@pytest.mark.parametrize("slug", EITHER_WAY)
@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_completed_is_cut(portal: Portal, name: str, slug: str) -> None:
    answer = portal.get(BROKEN[name], slug=slug)

    assert answer.status == 200
    assert answer.end in {"cut", "reset"}
    assert (PART + b"ab").startswith(answer.body)
    record = portal.record(answer)
    assert record["state"] == "cut"
    assert record["sent"] == len(answer.body) or answer.end == "reset"


@pytest.mark.parametrize("slug", ["open", "plain"])
def test_a_report_in_the_tail_of_a_functions_body_is_not_delivered(
    portal: Portal, slug: str
) -> None:
    answer = portal.get(replying(CHUNKED + chunks(PART, REPORT)), slug=slug)

    assert (answer.body, answer.end) == (PART, "cut")
    assert portal.record(answer)["reason"] == "origin_error"


def test_a_stall_within_the_body_is_cut_and_the_origin_closed(portal: Portal) -> None:
    case = portal.origin.on(stalling(head("Content-Length: 5000") + PART))
    begun = time.monotonic()

    answer = portal.ask(case).read()

    assert (answer.body, answer.end) == (PART, "cut")
    assert 1.5 < time.monotonic() - begun < 5
    assert case.left.wait(3)
    assert portal.record(answer)["reason"] == "stalled"


def test_chunks_are_no_data_with_a_blank_before_the_colon(portal: Portal) -> None:
    answer = portal.get(replying(head("Transfer-Encoding : chunked") + chunks(PART)))

    assert (answer.body, answer.end) == (PART, "complete")


def test_files_of_gzip_in_a_row_are_one_file(portal: Portal) -> None:
    data = gzip.compress(random.Random(1).randbytes(300_000)) * 2
    opening = head("Transfer-Encoding: chunked", "Content-Type: application/gzip")

    answer = portal.get(replying(opening + chunks(data)))

    assert (answer.body, answer.end) == (data, "complete")
    assert portal.record(answer)["proof"] == "gzip"


def test_a_slow_but_steady_body_is_not_cut(portal: Portal) -> None:
    def script(_: Request, connection: Connection) -> None:
        connection.send(head("Content-Length: 6"))
        for letter in b"steady":
            time.sleep(0.6)
            connection.send(bytes([letter]))

    answer = portal.get(script)

    assert (answer.body, answer.end) == (b"steady", "complete")
