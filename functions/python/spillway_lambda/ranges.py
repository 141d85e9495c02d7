"""Ranges and conditions of a request, against one version of an object (RFC 9110, 13 and 14)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

# More than 18 digits are no position in any object, and are ignored like any other nonsense.
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)
_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e]*"')
_TAG = re.compile(r'(?:W/)?"[^"]*"')


@dataclass(frozen=True)
class Version:
    """What identifies the bytes: their number, a strong entity tag, when they were written."""

    size: int
    etag: str
    last_modified: datetime | None = None


@dataclass(frozen=True)
class Part:
    """Bytes `first` to `last`, both included, of `size`."""

    first: int
    last: int
    size: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"bytes {self.first}-{self.last}/{self.size}"


@dataclass(frozen=True)
class Asked:
    """A range as it was asked for; without `first`, the `last` so many bytes."""

    first: int | None
    last: int | None

    def within(self, size: int) -> Part | None:
        """The bytes that this names in an object of `size` bytes; None where there are none."""
        if self.first is None:
            first, last = max(0, size - (self.last or 0)), size - 1
        else:
            first, last = self.first, size - 1 if self.last is None else min(self.last, size - 1)
        return Part(first, last, size) if first <= last else None

    def __str__(self) -> str:
        first, last = ("" if end is None else str(end) for end in (self.first, self.last))
        return f"bytes={first}-{last}"


@dataclass(frozen=True)
class Verdict:
    """How to answer: 200, 206 with the part to send, 304, 412 or 416."""

    status: HTTPStatus
    part: Part | None = None


def evaluate(headers: Mapping[str, str], version: Version, *, method: str = "GET") -> Verdict:
    """How to answer a request with these header fields, whose names are in lower case."""
    if status := _precondition(headers, version):
        return Verdict(status)
    asked = parse(headers.get("range", "")) if method == "GET" else None
    if asked is None or not _continues(headers.get("if-range", ""), version):
        return Verdict(HTTPStatus.OK)
    if part := asked.within(version.size):
        return Verdict(HTTPStatus.PARTIAL_CONTENT, part)
    return Verdict(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)


def parse(field: str) -> Asked | None:
    """The one range asked for; None where the field is absent, malformed or names several."""
    match = _RANGE.fullmatch(field)
    if not match:
        return None
    first, last = (int(digits) if digits else None for digits in match.groups())
    if first is None and last is None:
        return None
    if first is not None and last is not None and last < first:
        return None
    return Asked(first, last)


def is_strong_tag(field: str) -> bool:
    """Whether `field` is one strong entity tag, and nothing else."""
    return bool(_STRONG_TAG.fullmatch(field))


def _precondition(headers: Mapping[str, str], version: Version) -> HTTPStatus | None:
    """The status that a precondition demands, in the order of RFC 9110, 13.2.2."""
    if if_match := headers.get("if-match"):
        if not _names(if_match, version.etag, weakly=False):
            return HTTPStatus.PRECONDITION_FAILED
    elif _written_by(version, headers.get("if-unmodified-since")) is False:
        return HTTPStatus.PRECONDITION_FAILED
    if if_none_match := headers.get("if-none-match"):
        if _names(if_none_match, version.etag, weakly=True):
            return HTTPStatus.NOT_MODIFIED
    elif _written_by(version, headers.get("if-modified-since")):
        return HTTPStatus.NOT_MODIFIED
    return None


def _names(condition: str, etag: str, *, weakly: bool) -> bool:
    if condition.strip() == "*":
        return True
    tags = _TAG.findall(condition)
    if weakly:
        return etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in tags}
    return is_strong_tag(etag) and etag in tags


def _written_by(version: Version, date: str | None) -> bool | None:
    """Whether the version is no younger than `date`; None where that cannot be told."""
    if not date or version.last_modified is None:
        return None
    try:
        return version.last_modified.replace(microsecond=0) <= parsedate_to_datetime(date)
    except (TypeError, ValueError):
        # Not a date, or one without a zone: RFC 9110 says to ignore it.
        return None


def _continues(if_range: str, version: Version) -> bool:
    # A date cannot tell two writes in one second apart, so that only a strong tag lets a client
    # add to what it has. Anything else gets the whole object, which is never wrong.
    return not if_range or (is_strong_tag(if_range) and if_range == version.etag)
