"""Where a body ends, however it is cut on its way."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.wire.body import (
    LONGEST_LINE,
    LONGEST_TRAILERS,
    ChunkedDecoder,
    Decoder,
    LengthDecoder,
    MalformedError,
    UntilClose,
    decoder,
)
from streams.wire.headers import Framing

cuts = st.lists(st.integers(0, 400), max_size=12)


def through(taker: Decoder, data: bytes, where: list[int]) -> bytes:
    edges = [0, *sorted(cut for cut in where if cut < len(data)), len(data)]
    return b"".join(taker.feed(memoryview(data)[a:b]) for a, b in pairwise(edges) if b > a)


def chunked(pieces: list[bytes], *, extension: bytes = b"", last: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x%b\r\n%b\r\n" % (len(p), extension, p) for p in pieces if p) + last


@given(st.lists(st.binary(max_size=50), max_size=6), cuts, st.sampled_from([b"", b" ", b";a=b"]))
@example([b"\r\n0\r\n\r\n"], [1, 2, 3, 4], b"")
def test_chunks_give_the_body_wherever_they_are_cut(
    pieces: list[bytes], where: list[int], extension: bytes
) -> None:
    taker = ChunkedDecoder()

    assert through(taker, chunked(pieces, extension=extension), where) == b"".join(pieces)
    assert taker.done
    assert taker.may_end()
    assert not taker.surplus
    assert taker.trailers == b""


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=6), cuts, st.data())
def test_a_part_of_chunks_is_never_a_whole(
    pieces: list[bytes], where: list[int], data: st.DataObject
) -> None:
    whole = chunked(pieces)
    cut = data.draw(st.integers(0, len(whole) - 1))
    taker = ChunkedDecoder()

    assert b"".join(pieces).startswith(through(taker, whole[:cut], where))
    assert not taker.done
    assert not taker.may_end()


@given(cuts)
def test_trailers_are_kept(where: list[int]) -> None:
    taker = ChunkedDecoder()
    last = b"0\r\nX-Note: fine\r\nLambda-Runtime-Function-Error-Type: Oops\r\n\r\n"

    assert through(taker, chunked([b"hello"], last=last), where) == b"hello"
    assert taker.done
    assert taker.trailers == b"X-Note: fine\r\nLambda-Runtime-Function-Error-Type: Oops\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"zz\r\n",
        b"-1\r\n",
        b"+5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5_0\r\n",
        b"\r\n",
        b"5\nhello\r\n0\r\n\r\n" + b"x" * LONGEST_LINE,
        b"5;a\nb\r\nhello\r\n",
        b"F" * 16 + b"\r\n",
        b"2\r\nhiXX0\r\n\r\n",
        b"2\r\nhi\rX",
        b"2\r\nhi0\r\n\r\n",
        b"5;" + b"a" * LONGEST_LINE,
        b"0\r\nX: " + b"a" * LONGEST_TRAILERS,
    ],
)
@given(where=cuts)
def test_what_is_no_chunk_is_refused(data: bytes, where: list[int]) -> None:
    with pytest.raises(MalformedError):
        through(ChunkedDecoder(), data, where)


@given(st.binary(max_size=100), cuts)
def test_a_length_is_kept_to_the_byte(data: bytes, where: list[int]) -> None:
    taker, short = LengthDecoder(len(data)), LengthDecoder(len(data) + 1)

    assert through(taker, data, where) == data
    assert taker.done
    assert through(short, data, where) == data
    assert not short.may_end()


@pytest.mark.parametrize(
    ("taker", "data"),
    [(LengthDecoder(5), b"hello and more"), (ChunkedDecoder(), chunked([b"hello"]) + b"HTTP")],
)
def test_what_follows_the_end_is_no_part_of_the_body(taker: Decoder, data: bytes) -> None:
    assert taker.feed(memoryview(data)) == b"hello"
    assert taker.done
    assert taker.surplus


def test_the_framing_chooses_the_decoder() -> None:
    assert isinstance(decoder(Framing(None, chunked=True)), ChunkedDecoder)
    assert isinstance(decoder(Framing(7, chunked=False)), LengthDecoder)
    until_close = decoder(Framing(None, chunked=False))
    assert isinstance(until_close, UntilClose)
    assert until_close.feed(memoryview(b"x")) == b"x"
    assert until_close.may_end()
    assert not until_close.done
