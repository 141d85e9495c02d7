"""The head of a streaming function's answer, cut anywhere, and what is none."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.wire.prelude import END, LONGEST, Prelude, PreludeError, PreludeReader, parse


def prelude(**said: Any) -> bytes:
    return json.dumps(said).encode()


def read(pieces: list[bytes]) -> tuple[Prelude, bytes] | None:
    """What comes of the pieces; the rest of the body is added to what the reader gives."""
    reader = PreludeReader()
    for place, piece in enumerate(pieces):
        if found := reader.feed(piece):
            return found[0], found[1] + b"".join(pieces[place + 1 :])
    return None


@given(body=st.binary(max_size=60), cuts=st.lists(st.integers(0, 200), max_size=20))
def test_it_is_found_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    whole = prelude(statusCode=206, headers={"ETag": '"v1"', "X-N": 3}) + END + body
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]

    found = read([whole[a:b] for a, b in itertools.pairwise(edges)])

    assert found == (Prelude(206, {"etag": '"v1"', "x-n": "3"}), body)


def test_without_anything_said_it_is_a_200() -> None:
    assert parse(b"{}") == Prelude(200, {})


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff{}",
        b"[" * 50_000,
        prelude(statusCode="200"),
        prelude(statusCode=True),
        prelude(statusCode=99),
        prelude(statusCode=199),
        prelude(statusCode=600),
        prelude(headers=[]),
        prelude(headers="x"),
    ],
)
def test_what_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(PreludeError):
        parse(text)


@pytest.mark.parametrize("first", [b"just a body", b"\0" * 8 + b"{}", b"[", b"\x1f\x8b"])
def test_a_body_without_one_is_refused(first: bytes) -> None:
    with pytest.raises(PreludeError):
        PreludeReader().feed(first)


def test_an_endless_one_is_refused() -> None:
    reader = PreludeReader()
    for _ in range(LONGEST // 1024):
        reader.feed(b"{" + b" " * 1023)

    with pytest.raises(PreludeError):
        reader.feed(b" ")


def test_values_that_are_no_text_and_cookies_are_dropped() -> None:
    found = parse(prelude(headers={"A": ["x"], "B": None, "C": "d"}, cookies=["a=1"]))

    assert found.headers == {"c": "d"}
