"""Ranges and conditions, against RFC 9110, 13 and 14."""

from datetime import UTC, datetime
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spillway_lambda import ranges
from spillway_lambda.ranges import Part, Verdict, Version

WRITTEN = datetime(2026, 11, 2, 10, 0, 0, 500, tzinfo=UTC)
VERSION = Version(size=10, etag='"v1"', last_modified=WRITTEN)

BEFORE = "Mon, 02 Nov 2026 09:59:59 GMT"
EXACTLY = "Mon, 02 Nov 2026 10:00:00 GMT"
AFTER = "Mon, 02 Nov 2026 10:00:01 GMT"

POSITIONS = st.integers(min_value=0, max_value=60)


def part_of(field: str, size: int) -> Verdict:
    return ranges.evaluate({"range": field}, Version(size, '"v1"'))


@given(source=st.binary(max_size=50), first=POSITIONS, length=POSITIONS)
def test_a_closed_range_is_that_slice_of_the_source(source: bytes, first: int, length: int) -> None:
    verdict = part_of(f"bytes={first}-{first + length}", len(source))

    _check(verdict, source, source[first : first + length + 1])


@given(source=st.binary(max_size=50), first=POSITIONS)
def test_an_open_range_is_the_rest_of_the_source(source: bytes, first: int) -> None:
    verdict = part_of(f"bytes={first}-", len(source))

    _check(verdict, source, source[first:])


@given(source=st.binary(max_size=50), length=POSITIONS)
def test_a_suffix_range_is_the_end_of_the_source(source: bytes, length: int) -> None:
    verdict = part_of(f"bytes=-{length}", len(source))

    _check(verdict, source, source[-length:] if length else b"")


def _check(verdict: Verdict, source: bytes, expected: bytes) -> None:
    if not expected:
        assert verdict == Verdict(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        return
    assert verdict.status == HTTPStatus.PARTIAL_CONTENT
    assert verdict.part is not None
    assert source[verdict.part.first : verdict.part.last + 1] == expected
    assert verdict.part.length == len(expected)
    assert str(verdict.part).endswith(f"/{len(source)}")


@given(field=st.text())
def test_no_text_at_all_leads_outside_of_the_object(field: str) -> None:
    for text in (field, f"bytes={field}"):
        verdict = part_of(text, 10)

        assert verdict.part is None or 0 <= verdict.part.first <= verdict.part.last < 10


@given(field=st.from_regex(r"bytes=[0-9]{0,20}-[0-9]{0,20}", fullmatch=True))
def test_a_range_means_the_same_however_it_is_passed_on(field: str) -> None:
    asked = ranges.parse(field)

    assert asked is None or ranges.parse(str(asked)) == asked


@pytest.mark.parametrize(
    "field",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-2",
        "bytes=1-2,4-5",
        "bytes=1-2,",
        "bytes=0-1 2",
        "items=0-5",
        "bytes=+1-2",
        "bytes=0x1-2",
        "bytes=\u0661-2",
        "bytes=0-" + "9" * 5000,
    ],
)
def test_several_or_malformed_ranges_are_ignored(field: str) -> None:
    assert part_of(field, 10) == Verdict(HTTPStatus.OK)


@pytest.mark.parametrize("field", ["Bytes=2-4", "BYTES= 2-4 "])
def test_the_unit_is_known_in_any_case(field: str) -> None:
    assert part_of(field, 10) == Verdict(HTTPStatus.PARTIAL_CONTENT, Part(2, 4, 10))


def test_content_range_states_first_last_and_size() -> None:
    assert str(Part(2, 4, 10)) == "bytes 2-4/10"


def test_a_range_of_a_head_request_is_ignored() -> None:
    assert ranges.evaluate({"range": "bytes=50-"}, VERSION, method="HEAD").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"if-match": '"v1"'}, 200),
        ({"if-match": '"v0", "v1"'}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"v2"'}, 412),
        ({"if-match": "v1"}, 412),
        ({"if-match": 'W/"v1"'}, 412),
        ({"if-none-match": '"v1"'}, 304),
        ({"if-none-match": 'W/"v1"'}, 304),
        ({"if-none-match": '"v0",W/"v1"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"v2"'}, 200),
        ({"if-none-match": "v1"}, 200),
        ({"if-modified-since": BEFORE}, 200),
        ({"if-modified-since": EXACTLY}, 304),
        ({"if-modified-since": AFTER}, 304),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-modified-since": "Mon, 02 Nov 2026 10:00:00 -0000"}, 200),
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-unmodified-since": EXACTLY}, 200),
        ({"if-unmodified-since": AFTER}, 200),
        ({"if-unmodified-since": "yesterday"}, 200),
    ],
)
def test_conditions_are_judged_as_the_rfc_asks(headers: dict[str, str], status: int) -> None:
    assert ranges.evaluate(headers, VERSION).status == status
    assert ranges.evaluate(headers, VERSION, method="HEAD").status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # A tag stands above a date, the precondition of a write above the one of a cache,
        # and both above the range.
        ({"if-match": '"v1"', "if-unmodified-since": BEFORE}, 200),
        ({"if-none-match": '"v2"', "if-modified-since": AFTER}, 200),
        ({"if-match": '"v2"', "if-none-match": '"v1"'}, 412),
        ({"if-match": '"v1"', "if-none-match": '"v1"'}, 304),
        ({"if-match": '"v2"', "range": "bytes=50-"}, 412),
        ({"if-none-match": '"v1"', "range": "bytes=0-1"}, 304),
        ({"if-match": '"v1"', "range": "bytes=50-"}, 416),
        ({"if-match": '"v1"', "range": "bytes=0-1"}, 206),
    ],
)
def test_conditions_are_judged_in_the_order_of_the_rfc(
    headers: dict[str, str], status: int
) -> None:
    assert ranges.evaluate(headers, VERSION).status == status


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        ('"v1"', 206),
        ('"v2"', 200),
        ('W/"v1"', 200),
        ('"v1", "v2"', 200),
        ("v1", 200),
        ("*", 200),
        # A date is a weak validator.
        (EXACTLY, 200),
        (AFTER, 200),
    ],
)
def test_if_range_needs_the_strong_tag_of_this_version(if_range: str, status: int) -> None:
    headers = {"range": "bytes=0-1", "if-range": if_range}

    assert ranges.evaluate(headers, VERSION).status == status


def test_if_range_that_differs_saves_from_a_416() -> None:
    headers = {"range": "bytes=50-", "if-range": '"v2"'}

    assert ranges.evaluate(headers, VERSION) == Verdict(HTTPStatus.OK)


def test_an_object_whose_own_tag_is_weak_is_never_continued() -> None:
    weak = Version(10, 'W/"v1"')

    def status(**headers: str) -> int:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return ranges.evaluate(fields, weak).status

    assert status(range="bytes=0-1", if_range='W/"v1"') == 200
    assert status(if_match='W/"v1"') == 412
    assert status(if_none_match='"v1"') == 304


def test_dates_are_ignored_where_the_object_has_none() -> None:
    undated = Version(10, '"v1"')

    assert ranges.evaluate({"if-modified-since": AFTER}, undated).status == 200
    assert ranges.evaluate({"if-unmodified-since": BEFORE}, undated).status == 200
