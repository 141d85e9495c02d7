"""Which of an origin's header fields pass, and what its framing says."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from streams.wire import validators

# Nothing else passes: no cookie, no Location, no X-Accel-*, no policy of the origin's.
_DIGESTS = ("content-digest", "repr-digest", "digest", "content-md5")
_DESCRIBING = frozenset({"content-type", "content-encoding", "etag", "last-modified", *_DIGESTS})
# Built anew for each answer, from what was checked.
_FRAMING = frozenset(
    {"accept-ranges", "connection", "content-length", "content-range", "date", "keep-alive"}
    | {"server", "transfer-encoding"}
)
_MEDIA_TYPE = re.compile(
    r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}"
    r"(?:[ \t]*;[ \t]*[a-z0-9_-]{1,40}="
    r"(?:[a-z0-9!#$&^_.+-]{1,100}|\"[a-z0-9 !#$&'()*+,./:=?@_-]{0,100}\"))*",
    re.IGNORECASE | re.ASCII,
)
_CODING = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,40}", re.ASCII)
# Names of the same coding (RFC 9110 section 8.4.1).
_OLD_NAMES = {"x-gzip": "gzip", "x-compress": "compress"}
MOST_CODINGS = 4
_VISIBLE = re.compile(r"[\x20-\x7e]{1,500}")

_EXPIRY = re.compile(r'expiry-date="([^"]{1,50})"')

RawHeaders = Iterable[tuple[bytes, bytes]]


class FramingError(ValueError):
    """The origin's head contradicts itself about where the body ends (RFC 9112 section 6.3)."""


class CodingError(ValueError):
    """`Content-Encoding` is there, and cannot be read: what was done to the bytes is not known."""


@dataclass(frozen=True)
class Framing:
    """How a body ends: after `length` bytes, by a last chunk, or (neither) with the connection."""

    length: int | None
    chunked: bool


def framing(version: tuple[int, int], status: int, headers: RawHeaders) -> Framing:
    """Of a head in this version of HTTP. Raises `FramingError` where two readers could disagree.

    Blanks behind a name are no part of it (RFC 9112 section 5.1).
    """
    named = [(name.strip().lower(), value.strip()) for name, value in headers]
    if not 200 <= status <= 599:
        raise FramingError("a status that no final answer has")
    lengths = [value for name, value in named if name == b"content-length"]
    codings = [value for name, value in named if name == b"transfer-encoding"]
    if len(lengths) > 1 or len(codings) > 1:
        raise FramingError("a framing field stands twice")
    if codings and lengths:
        raise FramingError("a length together with a transfer coding")
    if codings:
        if version < (1, 1):
            # RFC 9112 section 6.1: whoever said so may not have meant it, and kept some of it back.
            raise FramingError("a transfer coding in HTTP/1.0")
        if codings[0].lower() != b"chunked":
            raise FramingError("an unknown transfer coding")
        return Framing(None, chunked=True)
    if not lengths:
        return Framing(None, chunked=False)
    if not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise FramingError("a length that is no number")
    return Framing(int(lengths[0]), chunked=False)


def content_type(value: str | None) -> str:
    """The media type if it is well formed, else the one that says nothing."""
    value = (value or "").strip()
    return value if _MEDIA_TYPE.fullmatch(value) else "application/octet-stream"


def content_encoding(value: str | None) -> str | None:
    """The content codings, in lower case; None for none or `identity`. Raises `CodingError`."""
    codings = [_coding(item) for item in (value or "").split(",")]
    codings = [coding for coding in codings if coding not in {"", "identity"}]
    if len(codings) > MOST_CODINGS or not all(map(_CODING.fullmatch, codings)):
        raise CodingError
    return ", ".join(codings) or None


def _coding(item: str) -> str:
    name = item.strip().lower()
    return _OLD_NAMES.get(name, name)


def _http_date(value: str | None) -> str | None:
    """In the form that RFC 9110 section 5.6.7 prefers: behind a date, the parser takes anything."""
    try:
        parsed = parsedate_to_datetime((value or "").strip())
        known = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        return format_datetime(known.astimezone(UTC), usegmt=True)
    except (TypeError, ValueError, OverflowError):
        return None


def passed(headers: Mapping[str, str]) -> dict[str, str]:
    """What of an origin's fields reaches the client, sanitised: those that describe the bytes.

    Length and range are not among them: they are built from what was checked. Raises `CodingError`.
    """
    found = {
        "Content-Type": content_type(headers.get("content-type")),
        "Content-Encoding": content_encoding(headers.get("content-encoding")),
        "ETag": validators.parse_etag(headers.get("etag")),
        "Last-Modified": _http_date(headers.get("last-modified")),
    }
    for name in _DIGESTS:
        value = headers.get(name, "")
        if _VISIBLE.fullmatch(value):
            found[name.title()] = value
    return {name: value for name, value in found.items() if value}


def dropped(headers: Mapping[str, str]) -> frozenset[str]:
    """The names, in lower case, of an origin's fields that reach no client."""
    return frozenset(name.lower() for name in headers) - _DESCRIBING - _FRAMING


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether a client says that it takes gzip (RFC 9110 section 12.5.3)."""
    return _accepts(accept_encoding or "", ["gzip"])


def takes(accept_encoding: str | None, codings: str) -> bool:
    """Whether a client takes what `content_encoding` says. One that says nothing takes anything."""
    return accept_encoding is None or _accepts(accept_encoding, codings.split(", "))


def _accepts(accept_encoding: str, codings: Iterable[str]) -> bool:
    quality: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        coding, _, parameter = item.partition(";")
        weight = parameter.strip().removeprefix("q=") or "1"
        try:
            quality[_coding(coding)] = float(weight)
        except ValueError:
            quality[_coding(coding)] = 0.0
    return all(quality.get(coding, quality.get("*", 0.0)) > 0 for coding in codings)


def of_expiration(value: str) -> datetime | None:
    """When S3's lifecycle rules delete an object, as `x-amz-expiration` tells it."""
    match = _EXPIRY.search(value)
    try:
        return parsedate_to_datetime(match[1]).astimezone(UTC) if match else None
    except (ValueError, OverflowError):
        return None
