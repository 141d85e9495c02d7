"""What an origin is asked for, and what it opens."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from streams.net.errors import BodyError
from streams.net.pace import Pace
from streams.wire.checksums import Checksum
from streams.wire.ranges import Asked, ByteRange


@dataclass(frozen=True)
class Target:
    """Where the bytes of one endpoint come from; what its kind does not need is empty."""

    kind: str
    auth: str = "none"
    url: str = ""
    function: str = ""
    bucket: str = ""
    key: str = ""
    region: str = ""
    role_arn: str = ""
    follows: str = ""
    pages: Mapping[str, Any] | None = None
    # A body that comes gzipped is the file: delivered as it is, and named `.gz`.
    keep_gzip: bool = False


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
    # The version of an S3 object that was opened first.
    version: str = ""


class Body(Protocol):
    """Bytes as they come. Whoever has it must end it: read it out, or `abort`."""

    async def read(self) -> bytes:
        """The next bytes, empty at the end. Raises `BodyError` where the end is not the end."""
        ...

    def fail(self, exc: BodyError) -> None:
        """Makes a pending `read` raise `exc`: how a silent origin is given up."""
        ...

    def set_pace(self, pace: Pace) -> None:
        """Reads ahead as far as suits the client."""
        ...

    def abort(self) -> None:
        """Drops it at once."""
        ...


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
    version: str = ""
    # Of the whole object, where the origin knows it in advance.
    checksum: Checksum | None = None
    # The origin says itself when all of it has been sent: a body that ends without is cut.
    says_when_complete: bool = field(default=False, kw_only=True)
    # The body may end in the error report of a Lambda runtime.
    may_report_failure: bool = field(default=False, kw_only=True)
    # The names of the head's fields that reach no client, in lower case.
    dropped: frozenset[str] = field(default=frozenset(), kw_only=True)
    # When the origin deletes it, where it says so.
    kept_until: datetime | None = field(default=None, kw_only=True)
    # The file is gzipped and is to be saved so: its name ends in `.gz`.
    gzipped: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class Request:
    """A GET that is answered with the bytes. What proves the portal stands in `fields`."""

    url: str
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Credential:
    """The header that proves the portal to the origin. Its value appears nowhere."""

    header: str
    value: str = field(repr=False)
    # Seconds for which its refusal may be a rotation's doing, and is worth holding.
    hold: float = 0.0
    # The URL or function that accepts it, where it is not the target's own.
    place: str = ""


# The values that the function may accept now, the current one first.
Reread = Callable[[], Awaitable[Sequence[Credential]]]


class Origin(Protocol):
    """Where the bytes of one endpoint come from."""

    async def open(self, wanted: Wanted, credential: Credential | None) -> Opened:
        """One attempt. Raises an `OriginError` of `streams.net.errors`."""
        ...

    async def checksum(self, opened: Opened) -> Checksum | None:
        """What the origin knows about the whole object of which `opened` is a part, if anything."""
        ...
