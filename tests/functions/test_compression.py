"""Gzip for those who take it."""

import gzip
import time
import zlib
from collections.abc import Iterator

import pytest
from spillway_lambda import HttpError
from spillway_lambda.compression import accepts, gzipped
from spillway_lambda.invocation import Context, Event
from spillway_lambda.streaming import Handler, Response

CONTEXT = Context("request-1", "", 0, "", "", "")
TAKES = {"headers": {"accept-encoding": "gzip, deflate, br"}}
PIECES = [b"%06d,a row of an export\r\n" % number * 100 for number in range(300)]
FIELDS = {
    "Content-Type": "text/csv",
    "Content-Length": "9",
    "ETag": '"v1"',
    "accept-ranges": "bytes",
}


def answering(response: Response) -> Handler:
    return gzipped(lambda event, context: response)


def test_a_caller_who_takes_gzip_gets_the_same_bytes_smaller() -> None:
    response = answering(Response(200, FIELDS, ["a=1"], PIECES))(TAKES, CONTEXT)

    coded = b"".join(response.body)
    assert gzip.decompress(coded) == b"".join(PIECES)
    assert len(coded) < len(b"".join(PIECES)) / 10
    assert response.headers == {
        "Content-Type": "text/csv",
        "ETag": 'W/"v1"',
        "Vary": "Accept-Encoding",
        "Content-Encoding": "gzip",
    }
    assert response.cookies == ["a=1"]


def test_the_same_pieces_become_the_same_bytes_at_another_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handler = answering(Response(200, {}, body=PIECES))

    first = b"".join(handler(TAKES, CONTEXT).body)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)

    assert b"".join(handler(TAKES, CONTEXT).body) == first
    # Neither a time nor a name of a file.
    assert first[3:8] == b"\0" * 5


@pytest.mark.parametrize(
    "response",
    [
        Response(206, FIELDS, body=[b"part"]),
        Response(200, FIELDS | {"Content-Encoding": "br"}, body=[b"coded"]),
    ],
)
def test_parts_and_what_has_a_coding_stay_as_they_are(response: Response) -> None:
    passed = answering(response)(TAKES, CONTEXT)

    assert passed.body == response.body
    assert passed.headers == dict(response.headers) | {"Vary": "Accept-Encoding"}


def test_a_caller_who_does_not_take_gzip_keeps_ranges_and_length() -> None:
    passed = answering(Response(200, FIELDS | {"vary": "Origin"}, body=PIECES))({}, CONTEXT)

    assert passed.body == PIECES
    assert passed.headers == FIELDS | {"vary": "Origin, Accept-Encoding"}


def test_an_error_comes_through() -> None:
    @gzipped
    def handler(event: Event, context: Context) -> Response:
        raise HttpError(404, "absent", "It is not there.")

    with pytest.raises(HttpError, match="not there"):
        handler(TAKES, CONTEXT)
    refused = HttpError(403, "forbidden", "No.").response()
    assert answering(refused)(TAKES, CONTEXT) == refused


def test_the_first_row_is_readable_before_the_second_is_made() -> None:
    made = []

    def rows() -> Iterator[bytes]:
        for number in range(3):
            made.append(number)
            yield b"row %d\n" % number

    pieces = iter(answering(Response(200, body=rows()))(TAKES, CONTEXT).body)

    assert zlib.decompressobj(31).decompress(next(pieces)) == b"row 0\n"
    assert made == [0]


def test_a_slow_source_does_not_wait_in_the_compressor() -> None:
    def rows() -> Iterator[bytes]:
        yield b"one\n"
        time.sleep(0.6)
        yield b"two\n"
        raise AssertionError("the second row was held back until the third")

    pieces = iter(answering(Response(200, body=rows()))(TAKES, CONTEXT).body)
    reader = zlib.decompressobj(31)

    assert reader.decompress(next(pieces)) + reader.decompress(next(pieces)) == b"one\ntwo\n"


def test_a_source_that_breaks_leaves_no_end_mark() -> None:
    def rows() -> Iterator[bytes]:
        yield b"one\n"
        raise ConnectionResetError("gone")

    pieces = iter(answering(Response(200, body=rows()))(TAKES, CONTEXT).body)
    reader = zlib.decompressobj(31)

    assert reader.decompress(next(pieces)) == b"one\n"
    with pytest.raises(ConnectionResetError):
        next(pieces)
    assert not reader.eof


def test_a_body_that_nobody_reads_is_closed() -> None:
    class Body:
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"never"])

        def close(self) -> None:
            self.closed = True

    body = Body()
    response = answering(Response(200, body=body))(TAKES, CONTEXT)

    response.body.close()  # type: ignore[attr-defined]

    assert body.closed


def test_an_empty_body_is_a_whole_gzip_file() -> None:
    assert gzip.decompress(b"".join(answering(Response(200))(TAKES, CONTEXT).body)) == b""


@pytest.mark.parametrize(
    ("field", "taken"),
    [
        ("gzip", True),
        ("GZIP;q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("br, gzip; q=1.0", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q = 0.000, *", False),
        ("*;q=0", False),
        ("notgzip", False),
    ],
)
def test_accept_encoding_is_read_as_rfc_9110_says(field: str, *, taken: bool) -> None:
    assert accepts(field) is taken
