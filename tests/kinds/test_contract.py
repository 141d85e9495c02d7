"""What every kind of origin must do alike, in one stream and in segments."""

import random

import pytest
from _pytest.mark import ParameterSet

from tests.functional.client import Answer
from tests.kinds.conftest import KINDS, Kind, Stage

# In segments they differ in nothing but what one of each sort shows.
OFTEN = {
    "url-secret-parts",
    "lambda-parts",
    "gateway-stream-parts",
    "s3-parts",
    "follows-key-parts",
}


def _each(kinds: list[Kind]) -> list[ParameterSet]:
    return [
        pytest.param(
            kind,
            id=kind.slug,
            marks=[pytest.mark.slow] if kind.segments and kind.slug not in OFTEN else [],
        )
        for kind in kinds
    ]


ALL = _each(KINDS)
RANGED = _each([kind for kind in KINDS if kind.ranges])


def whole(stage: Stage, kind: Kind, *fields: str) -> Answer:
    return stage.portal.fetch(kind.slug, *fields).read()


@pytest.mark.parametrize("kind", ALL)
def test_the_whole_file_arrives_and_is_proven(stage: Stage, kind: Kind) -> None:
    answer = whole(stage, kind)

    assert (answer.status, answer.end) == (200, "complete"), answer.body[:500]
    assert answer.body == kind.data
    record = stage.portal.record(answer)
    assert (record["state"], record["sent"]) == ("complete", len(kind.data))
    assert record["proof"] == kind.proof
    assert record["sha256"] == kind.sha256
    assert record["resumes"] == 0


@pytest.mark.parametrize("kind", ALL)
def test_what_is_known_in_advance_is_told(stage: Stage, kind: Kind) -> None:
    answer = whole(stage, kind)

    told = (answer.value("content-length"), answer.value("accept-ranges"), answer.value("etag"))
    if kind.ranges:
        assert told[:2] == (str(len(kind.data)), "bytes")
        assert (told[2] or "").startswith('"')
    else:
        assert told == (None, None, None)
        assert answer.framing == "chunked"


@pytest.mark.parametrize("kind", ALL)
def test_head_tells_the_same_without_a_body(stage: Stage, kind: Kind) -> None:
    expected = whole(stage, kind)

    answer = stage.portal.fetch(kind.slug, method="HEAD").read()

    assert answer.status == 200
    for name in ("content-length", "etag", "content-type", "content-disposition", "accept-ranges"):
        assert answer.value(name) == expected.value(name), name
    assert answer.body == b""


@pytest.mark.parametrize("kind", RANGED)
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("0-0", 0, 0),
        ("0-", 0, 2_999_999),
        ("100-199", 100, 199),
        ("262143-262144", 262_143, 262_144),
        ("1000000-2500000", 1_000_000, 2_500_000),
        ("2999999-", 2_999_999, 2_999_999),
        ("2000000-9999999", 2_000_000, 2_999_999),
        ("-300000", 2_700_000, 2_999_999),
    ],
)
def test_a_range_is_exactly_that_range(
    stage: Stage, kind: Kind, asked: str, first: int, last: int
) -> None:
    answer = whole(stage, kind, f"Range: bytes={asked}")

    assert (answer.status, answer.end) == (206, "complete")
    assert answer.value("content-range") == f"bytes {first}-{last}/{len(kind.data)}"
    assert answer.value("content-length") == str(last - first + 1)
    assert answer.body == kind.data[first : last + 1]


@pytest.mark.parametrize("kind", RANGED)
def test_a_range_beyond_the_end_is_416_with_the_size(stage: Stage, kind: Kind) -> None:
    answer = whole(stage, kind, f"Range: bytes={len(kind.data)}-")

    assert answer.status == 416
    assert answer.value("content-range") == f"bytes */{len(kind.data)}"
    assert b"range_not_satisfiable" in answer.body


@pytest.mark.parametrize("kind", RANGED)
def test_a_range_under_the_right_condition_is_a_part(stage: Stage, kind: Kind) -> None:
    tag = stage.portal.fetch(kind.slug, method="HEAD").read().value("etag")

    answer = whole(stage, kind, "Range: bytes=5-9", f"If-Range: {tag}")

    assert (answer.status, answer.body) == (206, kind.data[5:10])


@pytest.mark.parametrize("kind", RANGED)
@pytest.mark.parametrize("tag", ['"another"', 'W/"weak"', "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_range_of_another_version_becomes_the_whole(stage: Stage, kind: Kind, tag: str) -> None:
    answer = whole(stage, kind, "Range: bytes=5-9", f"If-Range: {tag}")

    assert (answer.status, answer.end) == (200, "complete")
    assert answer.body == kind.data


@pytest.mark.parametrize("kind", RANGED)
def test_what_the_client_has_is_not_sent_again(stage: Stage, kind: Kind) -> None:
    tag = stage.portal.fetch(kind.slug, method="HEAD").read().value("etag")

    answer = whole(stage, kind, f"If-None-Match: {tag}")

    assert (answer.status, answer.value("etag"), answer.body) == (304, tag, b"")


@pytest.mark.parametrize("kind", ALL)
def test_another_version_than_the_client_takes_is_412(stage: Stage, kind: Kind) -> None:
    answer = whole(stage, kind, 'If-Match: "another"', "Range: bytes=5-9")

    assert answer.status == 412
    assert b"precondition_failed" in answer.body


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("asked", ["bytes=9-3", "lines=1-2", "bytes=0-1,5-9", "bytes=x-"])
def test_a_range_that_is_none_is_the_whole(stage: Stage, kind: Kind, asked: str) -> None:
    answer = whole(stage, kind, f"Range: {asked}")

    assert (answer.status, answer.end) == (200, "complete")
    assert answer.body == kind.data


@pytest.mark.parametrize("kind", RANGED)
def test_a_drop_on_the_way_is_mended_unseen(stage: Stage, kind: Kind) -> None:
    cuts = sorted(random.Random(kind.slug).sample(range(50_000, 2_900_000), 2))
    stage.wire.cut_after(*cuts)

    answer = whole(stage, kind)

    assert (answer.status, answer.end) == (200, "complete")
    assert answer.body == kind.data
    # A segment that has not begun is asked for again without any ado.
    assert kind.segments or stage.portal.record(answer)["resumes"] >= 1


@pytest.mark.parametrize("kind", RANGED)
def test_a_drop_within_a_range_is_mended_unseen(stage: Stage, kind: Kind) -> None:
    stage.wire.cut_after(700_000)

    answer = whole(stage, kind, "Range: bytes=500000-1999999")

    assert (answer.status, answer.end) == (206, "complete")
    assert answer.body == kind.data[500_000:2_000_000]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.proof == "crc32"])
def test_a_byte_that_changed_on_the_way_is_a_cut(stage: Stage, kind: Kind) -> None:
    stage.wire.flip_after(1_500_000)

    answer = whole(stage, kind)

    assert (answer.status, answer.end) == (200, "cut")
    assert len(answer.body) < len(kind.data)
    assert stage.portal.record(answer)["state"] == "corrupt"
    # Nor can it be made to look whole: everything comes anew.
    again = whole(stage, kind, f"Range: bytes={len(answer.body)}-")
    assert (again.status, again.body) == (200, kind.data)


@pytest.mark.parametrize("kind", ALL)
def test_a_client_that_leaves_ends_it(stage: Stage, kind: Kind) -> None:
    exchange = stage.portal.fetch(kind.slug, receive_buffer=8192)
    answer = exchange.read_head()

    exchange.leave()

    record = stage.portal.record(answer)
    assert (record["state"], record["reason"]) == ("cancelled", "client_left")


def test_segments_ask_only_for_what_they_need(stage: Stage) -> None:
    stage.wire.cut_after()

    small = stage.portal.fetch("http-parts", "Range: bytes=0-1000").read()

    assert small.status == 206
    assert len(stage.wire.requests) == 1
