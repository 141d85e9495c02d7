"""What an origin is asked for, and what it opens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from streams.net.client import Body
from streams.wire.ranges import Asked, ByteRange


@dataclass(frozen=True)
class Wanted:
    """One request, as far as it concerns the origin."""

    query: str = ""
    range: Asked | None = None
    # A strong entity tag; a range without it is safe only while nothing was sent.
    if_range: str | None = None
    if_none_match: str | None = None
    gzip: bool = False
    head_only: bool = False


@dataclass(frozen=True)
class Opened:
    """An origin that is ready to send.

    `length` is the length of this body and `total` that of the whole object, in bytes, None where
    the origin does not tell. `range` is set for a part of the object.
    """

    status: int
    headers: Mapping[str, str]
    length: int | None
    body: Body
    total: int | None = None
    range: ByteRange | None = None
    etag: str | None = None
    accepts_ranges: bool = False
    # The body may end in the error report of a Lambda runtime.
    may_report_failure: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class Credential:
    """The header that proves the portal to the origin. Its value appears nowhere."""

    header: str
    value: str = field(repr=False)


class Origin(Protocol):
    """Where the bytes of one endpoint come from."""

    async def open(self, wanted: Wanted, credential: Credential | None) -> Opened:
        """One attempt. Raises an `OriginError` of `streams.net.errors`."""
        ...
