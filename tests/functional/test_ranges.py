"""Ranges, conditions and methods."""

import pytest

from tests.functional.conftest import Portal
from tests.functional.origin import Connection, Request, chunks, head, length, replying

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
    [("10-19", (10, 19)), ("90-", (90, 99)), ("-5", (95, 99)), ("50-500", (50, 99))],
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


def test_a_range_outside_of_the_file_is_416(portal: Portal) -> None:
    answer = portal.get(ranged, "Range: bytes=100-")

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


def test_identity_is_asked_for_otherwise(portal: Portal) -> None:
    case = portal.origin.on(replying(head("Transfer-Encoding: chunked") + chunks(b"x")))

    portal.ask(case).read()

    assert case.requests[0].values("accept-encoding") == ["identity"]
