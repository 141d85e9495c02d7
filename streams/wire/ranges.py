"""Byte ranges: `Range` and `Content-Range` (RFC 9110 section 14)."""

import re
from dataclasses import dataclass

# 18 digits hold every file there is, and keep arithmetic on hostile numbers cheap.
_DIGITS = 18
_ONE_RANGE = re.compile(r"bytes=[ \t]*(\d*)-(\d*)[ \t]*", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.ASCII)


class UnsatisfiableError(Exception):
    """The range lies wholly outside of the object."""


@dataclass(frozen=True)
class ByteRange:
    """Bytes `first` to `last`, both included, counted from 0."""

    first: int
    last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class Asked:
    """One range as a client asked for it, before the size is known.

    `first` None means the final `last` bytes; `last` None means up to the end.
    """

    first: int | None
    last: int | None

    def __str__(self) -> str:
        first, last = ("" if end is None else str(end) for end in (self.first, self.last))
        return f"bytes={first}-{last}"

    def within(self, size: int) -> ByteRange:
        """The bytes meant in an object of `size` bytes. Raises `UnsatisfiableError`."""
        if self.first is None:
            wanted = self.last or 0
            if not wanted or not size:
                raise UnsatisfiableError
            return ByteRange(max(0, size - wanted), size - 1)
        if self.first >= size:
            raise UnsatisfiableError
        return ByteRange(self.first, size - 1 if self.last is None else min(self.last, size - 1))


def parse(header: str | None) -> Asked | None:
    """The range that `header` asks for.

    None where a server ignores the field: it is absent, malformed, of another unit, or asks for
    several ranges at once (RFC 9110 section 14.2 lets a server answer those with everything).
    """
    match = _ONE_RANGE.fullmatch(header or "")
    if not match:
        return None
    first, last = map(_number, match.groups())
    if first is None and last is None:
        return None
    if first is not None and last is not None and last < first:
        return None
    return Asked(first, last)


def _number(digits: str) -> int | None:
    """What is beyond every file is as good as the first number that is."""
    if not digits:
        return None
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _DIGITS else 10**_DIGITS


@dataclass(frozen=True)
class ContentRange:
    """`range` is None for `bytes */n`, `size` is None for `bytes a-b/*`."""

    range: ByteRange | None
    size: int | None

    def __str__(self) -> str:
        span = f"{self.range.first}-{self.range.last}" if self.range else "*"
        return f"bytes {span}/{'*' if self.size is None else self.size}"


def parse_content_range(header: str | None) -> ContentRange | None:
    """What a 206 or 416 says that it holds; None where it is absent or contradicts itself."""
    match = _CONTENT_RANGE.fullmatch((header or "").strip())
    if not match:
        return None
    first, last, size = match.groups()
    total = None if size == "*" else int(size)
    if first is None:
        return ContentRange(None, total)
    span = ByteRange(int(first), int(last))
    if span.last < span.first or (total is not None and span.last >= total):
        return None
    return ContentRange(span, total)
