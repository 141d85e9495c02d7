"""Ranges, against what RFC 9110 section 14 says of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.wire import ranges
from streams.wire.ranges import Asked, ByteRange, ContentRange, UnsatisfiableError


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ("bytes=0-", 10, ByteRange(0, 9)),
        ("bytes=0-0", 10, ByteRange(0, 0)),
        ("bytes=5-100", 10, ByteRange(5, 9)),
        ("bytes=-3", 10, ByteRange(7, 9)),
        ("bytes=-30", 10, ByteRange(0, 9)),
        ("bytes= 2-4 ", 10, ByteRange(2, 4)),
    ],
)
def test_one_range_names_bytes_within_the_object(
    header: str, size: int, expected: ByteRange
) -> None:
    asked = ranges.parse(header)

    assert asked is not None
    assert asked.within(size) == expected


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=1-2,4-5",
        "items=0-5",
        "bytes=0x1-2",
        "bytes=\u0661-2",
        "bytes=0-1\r\nX: y",
    ],
)
def test_what_is_not_one_range_is_ignored(header: str | None) -> None:
    assert ranges.parse(header) is None


@pytest.mark.parametrize("digits", ["9" * 19, "9" * 5000])
def test_a_number_beyond_every_file_is_one(digits: str) -> None:
    whole, beyond = ranges.parse(f"bytes=0-{digits}"), ranges.parse(f"bytes={digits}-")

    assert whole is not None
    assert whole.within(100) == ByteRange(0, 99)
    assert beyond is not None
    with pytest.raises(UnsatisfiableError):
        beyond.within(100)


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=-5", 0)])
def test_a_range_outside_of_the_object_cannot_be_satisfied(header: str, size: int) -> None:
    asked = ranges.parse(header)

    assert asked is not None
    with pytest.raises(UnsatisfiableError):
        asked.within(size)


@given(st.binary(max_size=200), st.integers(0, 250), st.integers(0, 250), st.booleans())
def test_the_bytes_of_a_range_are_the_slice_that_it_names(
    data: bytes, first: int, last: int, suffix: bool
) -> None:
    asked = Asked(None, last) if suffix else Asked(first, max(first, last))
    expected = data[-last:] if suffix and last else data[first : max(first, last) + 1]
    if suffix and not last:
        expected = b""

    try:
        span = asked.within(len(data))
    except UnsatisfiableError:
        assert expected == b""
    else:
        assert data[span.first : span.last + 1] == expected
        assert span.length == len(expected)


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.none() | st.integers(0, 10**12))
def test_a_range_survives_being_written_and_read(first: int, length: int, size: int | None) -> None:
    asked = Asked(first, first + length)
    assert ranges.parse(str(asked)) == asked

    held = ContentRange(ByteRange(first, first + length), size)
    read = ranges.parse_content_range(str(held))
    assert read == (held if size is None or first + length < size else None)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes 5-2/10",
        "bytes 0-10/10",
        "bytes 0-5",
        "items 0-5/10",
        "bytes -5/10",
        "bytes 0-5/ten",
    ],
)
def test_a_content_range_that_contradicts_itself_is_none(header: str | None) -> None:
    assert ranges.parse_content_range(header) is None


def test_an_unsatisfied_range_tells_the_size() -> None:
    assert ranges.parse_content_range("bytes */47") == ContentRange(None, 47)
