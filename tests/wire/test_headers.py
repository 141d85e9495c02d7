"""Which header fields pass, and heads that two readers could read differently."""

from datetime import UTC, datetime

import pytest

from streams.wire import headers, validators
from streams.wire.headers import Framing, FramingError


def test_only_what_describes_the_bytes_passes() -> None:
    hostile = {
        "content-type": "text/csv; charset=utf-8",
        "etag": '"v1"',
        "last-modified": "Mon, 23 Nov 2026 10:00:00 GMT",
        "repr-digest": "sha-256=:abc=:",
        "set-cookie": "session=1",
        "location": "https://elsewhere.example/",
        "x-accel-redirect": "/secret",
        "content-security-policy": "default-src *",
        "access-control-allow-origin": "*",
        "refresh": "0; url=https://elsewhere.example/",
        "content-disposition": 'inline; filename="../x"',
    }

    assert headers.passed(hostile) == {
        "Content-Type": "text/csv; charset=utf-8",
        "ETag": '"v1"',
        "Last-Modified": "Mon, 23 Nov 2026 10:00:00 GMT",
        "Repr-Digest": "sha-256=:abc=:",
    }


@pytest.mark.parametrize(
    "value", [None, "", "nonsense", "text/html\r\nX-Y: z", "a/b; c", "text/<script>", "x" * 500]
)
def test_a_malformed_media_type_says_nothing(value: str | None) -> None:
    assert headers.content_type(value) == "application/octet-stream"


@pytest.mark.parametrize(
    "fields",
    [
        [(b"Content-Length", b"5"), (b"content-length", b"5")],
        [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")],
        [(b"Transfer-Encoding", b"gzip, chunked")],
        [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
        [(b"Content-Length", b"-5")],
        [(b"Content-Length", b"+5")],
        [(b"Content-Length", b"5, 5")],
        [(b"Content-Length", b"0x5")],
        [(b"Content-Length", b"")],
        [(b"Content-Length ", b"5"), (b"Transfer-Encoding\t", b"chunked")],
        [(b"Content-Length", b"9" * 30)],
    ],
)
def test_a_head_that_contradicts_itself_is_refused(fields: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(FramingError):
        headers.framing((1, 1), 200, fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([(b"Content-Length", b" 5 ")], Framing(5, chunked=False)),
        ([(b"Transfer-Encoding", b"Chunked")], Framing(None, chunked=True)),
        ([(b"Content-Length \t", b"5")], Framing(5, chunked=False)),
        ([(b"Transfer-Encoding ", b"chunked")], Framing(None, chunked=True)),
        ([], Framing(None, chunked=False)),
    ],
)
def test_a_head_tells_how_its_body_ends(
    fields: list[tuple[bytes, bytes]], expected: Framing
) -> None:
    assert headers.framing((1, 1), 200, fields) == expected


def test_http_1_0_knows_no_transfer_coding() -> None:
    assert headers.framing((1, 0), 200, [(b"Content-Length", b"5")]).length == 5
    with pytest.raises(FramingError):
        headers.framing((1, 0), 200, [(b"Transfer-Encoding", b"chunked")])


@pytest.mark.parametrize("status", [0, 99, 101, 199, 600, 999])
def test_a_status_that_no_final_answer_has_is_refused(status: int) -> None:
    with pytest.raises(FramingError):
        headers.framing((1, 1), status, [])


@pytest.mark.parametrize(
    ("field", "takes"),
    [
        (None, False),
        ("", False),
        ("identity", False),
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("*", True),
        ("*;q=0, br", False),
        ("gzip;q=junk", False),
    ],
)
def test_gzip_is_sent_to_those_who_take_it(field: str | None, takes: bool) -> None:
    assert headers.accepts_gzip(field) is takes


@pytest.mark.parametrize(
    ("field", "codings", "takes"),
    [
        (None, "br", True),
        ("", "br", False),
        ("identity", "gzip", False),
        ("gzip, br", "br", True),
        ("gzip, br", "gzip, br", True),
        ("gzip, br", "gzip, zstd", False),
        ("*;q=0.1", "x-foo", True),
        ("*, br;q=0", "br", False),
        ("x-gzip", "gzip", True),
    ],
)
def test_a_coding_is_for_those_who_take_it(field: str | None, codings: str, takes: bool) -> None:
    assert headers.takes(field, codings) is takes


@pytest.mark.parametrize(
    ("value", "codings"),
    [
        (None, None),
        ("identity", None),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip ,, identity,br,", "gzip, br"),
        ("x_foo!", "x_foo!"),
    ],
)
def test_codings_are_told_by_their_names(value: str | None, codings: str | None) -> None:
    assert headers.content_encoding(value) == codings


@pytest.mark.parametrize("value", ["gzip;q=1", "g zip", "é", "a, " * 5 + "a", "x" * 50])
def test_a_coding_that_cannot_be_read_is_not_passed_over(value: str) -> None:
    with pytest.raises(headers.CodingError):
        headers.passed({"content-encoding": value})


@pytest.mark.parametrize(
    ("condition", "etag", "matches"),
    [
        ('"a"', '"a"', True),
        ('W/"a"', '"a"', True),
        ('"b", "a"', 'W/"a"', True),
        ("*", '"a"', True),
        ("*", None, False),
        ('"b"', '"a"', False),
        ("a", '"a"', False),
        (None, '"a"', False),
    ],
)
def test_if_none_match_compares_weakly(
    condition: str | None, etag: str | None, matches: bool
) -> None:
    assert validators.matches_none(condition, etag) is matches


def test_only_a_strong_tag_joins_pieces() -> None:
    assert validators.is_strong('"a"')
    assert not validators.is_strong('W/"a"')
    assert not validators.is_strong(None)
    assert validators.parse_etag('"a"b"') is None
    assert validators.parse_etag("a") is None


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (
            'expiry-date="Fri, 21 Dec 2029 00:00:00 GMT", rule-id="nightly"',
            datetime(2029, 12, 21, tzinfo=UTC),
        ),
        ('expiry-date="soon", rule-id="nightly"', None),
        ("", None),
    ],
)
def test_s3_tells_when_it_deletes_an_object(value: str, at: datetime | None) -> None:
    assert headers.of_expiration(value) == at
