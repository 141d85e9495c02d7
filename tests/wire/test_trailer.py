"""The error report of a Lambda runtime, found however the body is cut into chunks."""

import base64
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.wire import trailer
from streams.wire.trailer import ErrorReportError, TrailerGuard

REPORT = (
    b"Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n"
    b"Lambda-Runtime-Function-Error-Body: "
    + base64.b64encode(b'{"errorMessage": "the database went away"}')
    + b"\r\n"
)


def through(guard: TrailerGuard, data: bytes, cuts: list[int]) -> bytes:
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    return b"".join(guard.feed(piece) for piece in pieces)


@given(st.binary(max_size=300), st.lists(st.integers(0, 600), max_size=12))
@example(b"Lambda-Runtime-Function-Error-Type:", [])
@example(REPORT, [len(REPORT) + 3])
def test_the_report_is_withheld_wherever_the_chunks_end(data: bytes, cuts: list[int]) -> None:
    guard = TrailerGuard()

    delivered = through(guard, data + REPORT, cuts)

    assert delivered == data
    with pytest.raises(ErrorReportError):
        guard.finish()


@given(
    st.lists(
        st.sampled_from([b"L", b"Lambda-Runtime-", REPORT, REPORT[:-1], b"x\r\n", b"\0"]),
        max_size=8,
    ),
    st.lists(st.integers(0, 900), max_size=12),
)
def test_data_that_only_looks_like_it_arrives_whole(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts) + b"and so on"
    guard = TrailerGuard()

    delivered = through(guard, data, cuts) + guard.finish()

    assert delivered == data


@pytest.mark.parametrize("size", [1_000, 65_536, 1_000_000])
def test_a_long_message_is_withheld_too(size: int) -> None:
    guard = TrailerGuard()
    message = base64.b64encode(b'{"errorMessage": "' + b"?" * 300_000 + b'"}')
    report = REPORT.partition(b"-Body: ")[0] + b"-Body: " + message + b"\r\n"
    data = b"1,2\n" * 50_000

    delivered = through(guard, data + report, list(range(0, len(data + report), size)))

    assert delivered == data
    with pytest.raises(ErrorReportError):
        guard.finish()


def test_what_follows_the_mark_is_data_once_it_is_too_long() -> None:
    guard = TrailerGuard()
    data = REPORT + b"A" * (2 * trailer.LONGEST)

    assert guard.feed(data) == data


def test_real_http_trailers_are_seen() -> None:
    assert trailer.is_report(b"lambda-runtime-function-error-type: Runtime.Unknown\r\n")
    assert not trailer.is_report(b"")
    assert not trailer.is_report(b"X-Checksum: 1\r\n")
