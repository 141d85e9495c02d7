"""From what a client asked and an origin opened to the head of the answer (RFC 9110)."""

from dataclasses import dataclass

from streams.origins import Opened, Wanted
from streams.wire import disposition, headers, ranges, validators


@dataclass(frozen=True)
class Asked:
    """The fields of a client's request that change what it gets."""

    query: str
    range: str | None
    if_range: str | None
    if_none_match: str | None
    accept_encoding: str | None
    head_only: bool

    def wanted(self) -> Wanted:
        """What to ask of the origin. A range under a condition that cannot hold is dropped."""
        span = ranges.parse(self.range) if not self.head_only else None
        tag = validators.parse_etag(self.if_range)
        if self.if_range and not validators.is_strong(tag):
            # A weak tag, or a date, does not promise equal bytes: everything, then.
            span = None
        return Wanted(
            query=self.query,
            range=span,
            if_range=tag if span else None,
            if_none_match=self.if_none_match if _sendable(self.if_none_match) else None,
            gzip=headers.accepts_gzip(self.accept_encoding),
            head_only=self.head_only,
        )


def _sendable(value: str | None) -> bool:
    return bool(value) and str(value).isascii() and str(value).isprintable()


# RFC 9110 section 15.4.5, as far as it is ours to send.
_ON_304 = frozenset({"ETag", "Last-Modified"})


@dataclass(frozen=True)
class Answer:
    """The head of the answer. `length` is that of the body in bytes, None where unknown."""

    status: int
    headers: dict[str, str]
    length: int | None
    resumable: bool


def answer(asked: Asked, opened: Opened, *, filename: str) -> Answer:
    """What the client is told about an opened origin."""
    fields: dict[str, str] = dict(opened.headers)
    resumable = (
        opened.accepts_ranges and validators.is_strong(opened.etag) and opened.total is not None
    )
    if opened.status == 304 or validators.matches_none(asked.if_none_match, opened.etag):
        kept = {name: value for name, value in fields.items() if name in _ON_304}
        return Answer(304, kept, 0, resumable)
    fields["Content-Disposition"] = disposition.attachment(filename)
    if opened.accepts_ranges:
        fields["Accept-Ranges"] = "bytes"
    if opened.range:
        fields["Content-Range"] = str(ranges.ContentRange(opened.range, opened.total))
    if opened.length is not None and opened.status != 204:
        fields["Content-Length"] = str(opened.length)
    return Answer(opened.status, fields, opened.length, resumable)
