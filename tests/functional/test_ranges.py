"""Ranges, conditions and methods."""

import json

import pytest

from tests.functional.conftest import EITHER_WAY, Portal
from tests.functional.origin import Connection, Request, chunks, head, length, replying

EITHER_FRONT = True

DATA = bytes(range(100))


def ranged(request: Request, connection: Connection) -> None:
    """An origin that knows ranges, and one strong tag."""
    asked = request.values("range")
    if request.values("if-none-match") == ['"v1"']:
        connection.send(head('ETag: "v1"', status="304 Not Modified"))
    elif not asked or request.values("if-range") not in ([], ['"v1"']):
        connection.send(length(DATA, 'ETag: "v1"', "Accept-Ranges: bytes"))
    else:
        first, _, last = asked[0].removeprefix("bytes=").partition("-")
        begin = int(first) if first else len(DATA) - int(last)
        end = min(int(last), 99) if first and last else 99
        if begin > 99:
            connection.send(
                length(b"", "Content-Range: bytes */100", status="416 Range Not Satisfiable")
            )
        else:
            connection.send(
                length(
                    DATA[begin : end + 1],
                    'ETag: "v1"',
                    f"Content-Range: bytes {begin}-{end}/100",
                    status="206 Partial Content",
                )
            )


@pytest.mark.parametrize(
    ("asked", "span"),
    [
        ("10-19", (10, 19)),
        ("90-", (90, 99)),
        ("-5", (95, 99)),
        ("50-500", (50, 99)),
        (f"50-{'9' * 26}", (50, 99)),
        (f"{'0' * 30}50-", (50, 99)),
    ],
)
def test_one_range_is_one_part(portal: Portal, asked: str, span: tuple[int, int]) -> None:
    answer = portal.get(ranged, f"Range: bytes={asked}")

    assert answer.status == 206
    assert answer.body == DATA[span[0] : span[1] + 1]
    assert answer.value("content-range") == f"bytes {span[0]}-{span[1]}/100"
    assert answer.value("etag") == '"v1"'
    assert answer.framing == "length"
    record = portal.record(answer)
    assert (record["state"], record["first"], record["total"]) == ("complete", span[0], 100)


@pytest.mark.parametrize("first", ["100", "1" * 26, "9" * 5000])
def test_a_range_outside_of_the_file_is_416(portal: Portal, first: str) -> None:
    answer = portal.get(ranged, f"Range: bytes={first}-")

    assert answer.status == 416
    assert answer.value("content-range") == "bytes */100"


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=1-2,4-5", "lines=1-2", "bytes=x-y"])
def test_a_range_that_is_none_is_ignored(portal: Portal, asked: str) -> None:
    case = portal.origin.on(ranged)

    answer = portal.ask(case, f"Range: {asked}").read()

    assert (answer.status, answer.body) == (200, DATA)
    assert case.requests[0].values("range") == []


def test_an_origin_that_ignores_ranges_sends_everything(portal: Portal) -> None:
    answer = portal.get(replying(length(DATA)), "Range: bytes=10-19")

    assert (answer.status, answer.body) == (200, DATA)


@pytest.mark.parametrize(
    "data",
    [
        length(DATA[:10], status="206 Partial"),
        length(DATA[:10], "Content-Range: bytes 0-9/100", status="206 Partial"),
        length(DATA[10:30], "Content-Range: bytes 10-29/100", status="206 Partial"),
        length(DATA[10:15], "Content-Range: bytes 10-19/100", status="206 Partial"),
        length(DATA[10:20], "Content-Range: lines 10-19/100", status="206 Partial"),
        length(b"--x", "Content-Type: multipart/byteranges; boundary=x", status="206 Partial"),
    ],
)
def test_another_part_than_asked_for_is_an_error(portal: Portal, data: bytes) -> None:
    answer = portal.get(replying(data), "Range: bytes=10-19")

    assert answer.status == 502


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('If-Range: "v1"', 206),
        ('If-Range: "v0"', 200),
        ('If-Range: W/"v1"', 200),
        ("If-Range:", 200),
        ("If-Range: Mon, 23 Nov 2026 10:00:00 GMT", 200),
    ],
)
def test_if_range_joins_pieces_of_one_version_only(
    portal: Portal, condition: str, status: int
) -> None:
    answer = portal.get(ranged, "Range: bytes=10-19", condition)

    assert answer.status == status
    assert answer.body == (DATA[10:20] if status == 206 else DATA)


def test_an_origin_that_ignores_if_range_is_asked_for_everything(portal: Portal) -> None:
    def script(request: Request, connection: Connection) -> None:
        if request.values("range"):
            part = length(
                DATA[10:20], 'ETag: "v2"', "Content-Range: bytes 10-19/100", status="206 Partial"
            )
            connection.send(part)
        else:
            connection.send(length(DATA, 'ETag: "v2"'))

    answer = portal.get(script, "Range: bytes=10-19", 'If-Range: "v1"')

    assert (answer.status, answer.body, answer.value("etag")) == (200, DATA, '"v2"')


def test_what_the_client_has_is_not_sent_again(portal: Portal) -> None:
    for script in (ranged, replying(length(DATA, 'ETag: "v1"'))):
        answer = portal.get(script, 'If-None-Match: "v1"')

        assert (answer.status, answer.body) == (304, b"")
        assert answer.value("etag") == '"v1"'


DATE = "Fri, 27 Nov 2026 10:00:00 GMT"
BEFORE = "Fri, 27 Nov 2026 09:59:59 GMT"


def dated(request: Request, connection: Connection) -> None:
    """The same origin, which says when the file was changed and leaves conditions to others."""
    whole = head(f"Content-Length: {len(DATA)}", 'ETag: "v1"', f"Last-Modified: {DATE}")
    if request.method == "HEAD":
        connection.send(whole)
    elif request.values("range"):
        ranged(request, connection)
    else:
        connection.send(whole + DATA)


@pytest.mark.parametrize("slug", EITHER_WAY)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "fields",
    [
        ['If-Match: "x"'],
        ['If-Match: W/"v1"'],
        ["If-Match: v1"],
        ['If-Match: "x", "y"', 'If-None-Match: "v1"'],
        ['If-Match: "x"', f"If-Unmodified-Since: {DATE}"],
        ['If-Match: "x"', "Range: bytes=10-"],
        ['If-Match: "x"', "Range: bytes=-5", 'If-Range: "v1"'],
        ['If-Match: "x"', "Range: bytes=100-"],
    ],
)
def test_another_version_than_the_client_takes_is_412(
    portal: Portal, fields: list[str], method: str, slug: str
) -> None:
    answer = portal.get(dated, *fields, method=method, slug=slug)

    assert answer.status == 412
    assert answer.value("content-type") == "application/json"
    assert answer.value("content-disposition") is None
    if method == "HEAD":
        return
    assert json.loads(answer.body)["error"]["code"] == "precondition_failed"
    record = portal.record(answer)
    assert (record["state"], record["reason"]) == ("failed", "precondition_failed")
    assert (record["status"], record["sent"]) == (412, 0)


@pytest.mark.parametrize("slug", EITHER_WAY)
@pytest.mark.parametrize(
    "condition", ['If-Match: "v1"', "If-Match: *", 'If-Match: "a,b" , W/"v1",, "v1"']
)
def test_the_version_that_the_client_takes_is_sent(
    portal: Portal, condition: str, slug: str
) -> None:
    whole = portal.get(dated, condition, f"If-Unmodified-Since: {BEFORE}", slug=slug)
    # Until that is known, a range after somebody else's test of what is corrupt is everything.
    portal.record(whole)
    part = portal.get(dated, condition, "Range: bytes=10-", slug=slug)
    beyond = portal.get(dated, condition, "Range: bytes=100-", slug=slug)
    known = portal.get(dated, condition, 'If-None-Match: "v1"', slug=slug)

    assert (whole.status, whole.body) == (200, DATA)
    assert (part.status, part.body) == (206, DATA[10:])
    assert (beyond.status, known.status) == (416, 304)


@pytest.mark.parametrize(
    ("said", "status"), [(BEFORE, 412), (DATE, 200), ("yesterday", 200), ("2026-11-26", 200)]
)
def test_a_date_counts_where_it_can_be_read(portal: Portal, said: str, status: int) -> None:
    answer = portal.get(dated, f"If-Unmodified-Since: {said}")
    undated = portal.get(ranged, f"If-Unmodified-Since: {said}")

    assert (answer.status, undated.status) == (status, 200)


def test_a_file_without_a_tag_is_no_version_that_a_client_names(portal: Portal) -> None:
    untagged = replying(length(DATA))

    assert portal.get(untagged, 'If-Match: "v1"').status == 412
    assert portal.get(replying(length(DATA, 'ETag: W/"v1"')), 'If-Match: W/"v1"').status == 412
    assert portal.get(untagged, "If-Match: *").body == DATA


def test_before_412_the_origin_is_given_up(portal: Portal) -> None:
    def script(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {1 << 30}", 'ETag: "v1"'))
        connection.pour(1 << 30)

    case = portal.origin.on(script)

    assert portal.ask(case, 'If-Match: "x"').read().status == 412
    assert case.left.wait(3)
    assert case.connections[-1].sent < 16 << 20, "the body was drained"


def test_head_asks_the_origin_for_a_head(portal: Portal) -> None:
    def script(request: Request, connection: Connection) -> None:
        assert request.method == "HEAD"
        connection.send(head("Content-Length: 100", 'ETag: "v1"', "Accept-Ranges: bytes"))

    answer = portal.get(script, method="HEAD")

    assert (answer.status, answer.value("content-length")) == (200, "100")
    assert answer.value("x-download-id")


def test_where_head_is_refused_a_get_is_made_and_dropped(portal: Portal) -> None:
    def script(request: Request, connection: Connection) -> None:
        if request.method == "HEAD":
            connection.send(length(b"", status="405 No"))
            return
        connection.send(head(f"Content-Length: {1 << 30}"))
        connection.pour(1 << 30)

    case = portal.origin.on(script)

    answer = portal.ask(case, method="HEAD").read()

    assert (answer.status, answer.value("content-length")) == (200, str(1 << 30))
    assert case.left.wait(3)
    assert case.connections[-1].sent < 16 << 20, "the body was drained"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "PROPFIND", "OPTIONS"])
def test_other_methods_never_reach_the_origin(portal: Portal, method: str) -> None:
    case = portal.origin.on(ranged)

    answer = portal.ask(case, "Content-Length: 0", method=method).read()

    assert answer.status == 405
    assert case.requests == []


def test_gzip_passes_as_it_is_to_those_who_take_it(portal: Portal) -> None:
    coded = b"\x1f\x8b not decoded"
    case = portal.origin.on(replying(length(coded, "Content-Encoding: gzip", 'ETag: "z"')))

    answer = portal.ask(case, "Accept-Encoding: gzip, br").read()

    assert case.requests[0].values("accept-encoding") == ["gzip"]
    assert (answer.body, answer.value("content-encoding")) == (coded, "gzip")


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "x-foo"])
@pytest.mark.parametrize("slug", EITHER_WAY)
def test_a_coding_that_was_not_asked_for_passes_to_who_does_not_exclude_it(
    portal: Portal, coding: str, slug: str
) -> None:
    coded = length(b"not decoded", f"Content-Encoding: {coding}", 'ETag: "z"')
    case = portal.origin.on(replying(coded))
    told = f"Accept-Encoding: {coding}"

    taken = [portal.ask(case, slug=slug).read(), portal.ask(case, told, slug=slug).read()]
    excluded = "Accept-Encoding: gzip;q=0, identity"
    refused = portal.ask(case, excluded, slug=slug).read()
    peeked = portal.ask(case, excluded, slug=slug, method="HEAD").read()

    for answer in taken:
        assert (answer.status, answer.body) == (200, b"not decoded")
        assert answer.value("content-encoding") == coding
        assert answer.value("accept-ranges") is None
    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (502, "origin_coded")
    assert portal.record(refused)["reason"] == "origin_coded"
    assert peeked.status == 502


def test_a_coding_that_cannot_be_read_is_an_error(portal: Portal) -> None:
    answer = portal.get(replying(length(b"what?", "Content-Encoding: gzip;level=9")))

    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (502, "origin_protocol")


def test_identity_is_asked_for_otherwise(portal: Portal) -> None:
    case = portal.origin.on(replying(head("Transfer-Encoding: chunked") + chunks(b"x")))

    portal.ask(case).read()

    assert case.requests[0].values("accept-encoding") == ["identity"]
