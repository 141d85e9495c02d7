"""From what a client asked and an origin opened to the head of the answer (RFC 9110)."""

from dataclasses import dataclass

from django.utils.http import parse_http_date_safe

from streams.net.errors import CodedError, PreconditionError
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
    # The browser asks again by itself, after a cut.
    again: bool = False
    if_match: str | None = None
    if_unmodified_since: str | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether the client takes one version and no other."""
        return self.if_match is not None or self.if_unmodified_since is not None

    def wanted(self) -> Wanted:
        """What to ask of the origin. A range under a condition that cannot hold is dropped."""
        span = ranges.parse(self.range) if not self.head_only else None
        tag = validators.parse_etag(self.if_range)
        if self.if_range is not None and not validators.is_strong(tag):
            # A weak tag, or a date, does not promise equal bytes: everything, then.
            span = None
        return Wanted(
            query=self.query,
            range=span,
            if_range=tag if span else None,
            if_none_match=self.if_none_match if self._may_send_if_none_match else None,
            gzip=headers.accepts_gzip(self.accept_encoding),
            head_only=self.head_only,
        )

    @property
    def _may_send_if_none_match(self) -> bool:
        value = self.if_none_match or ""
        # A 304 need not say of which version it is, and another condition comes before this one.
        return bool(value) and value.isascii() and value.isprintable() and not self.is_pinned


# RFC 9110 section 15.4.5, as far as it is ours to send.
_ON_304 = frozenset({"ETag", "Last-Modified"})


@dataclass(frozen=True)
class Answer:
    """The head of the answer. `length` is that of the body in bytes, None where unknown."""

    status: int
    headers: dict[str, str]
    length: int | None
    resumable: bool


def check(asked: Asked, opened: Opened) -> None:
    """Raises `PreconditionError` where the client wants another version than there is.

    RFC 9110 sections 13.1.1 and 13.1.4: a date counts where nothing better is said, and only where
    both dates can be read.
    """
    if asked.if_match is not None:
        holds = validators.matches(asked.if_match, opened.etag)
    else:
        at_most = parse_http_date_safe(asked.if_unmodified_since or "")
        modified = parse_http_date_safe(opened.headers.get("Last-Modified", ""))
        holds = at_most is None or modified is None or modified <= at_most
    if not holds:
        raise PreconditionError


def answer(asked: Asked, opened: Opened, *, filename: str) -> Answer:
    """What the client is told about an opened origin. Raises `PreconditionError` or `CodedError`.

    An origin may send a coding that it was not asked for. Bytes that the client says it cannot
    decode would look like the file (RFC 9110 section 12.5.3).
    """
    check(asked, opened)
    fields: dict[str, str] = dict(opened.headers)
    resumable = (
        opened.accepts_ranges and validators.is_strong(opened.etag) and opened.total is not None
    )
    if opened.status == 304 or validators.matches_none(asked.if_none_match, opened.etag):
        kept = {name: value for name, value in fields.items() if name in _ON_304}
        return Answer(304, kept, 0, resumable)
    coding = fields.get("Content-Encoding")
    if coding and not headers.takes(asked.accept_encoding, coding):
        raise CodedError(coding)
    fields["Content-Disposition"] = disposition.attachment(filename)
    if opened.accepts_ranges:
        fields["Accept-Ranges"] = "bytes"
    if opened.range:
        fields["Content-Range"] = str(ranges.ContentRange(opened.range, opened.total))
    if opened.length is not None and opened.status != 204:
        fields["Content-Length"] = str(opened.length)
    return Answer(opened.status, fields, opened.length, resumable)
