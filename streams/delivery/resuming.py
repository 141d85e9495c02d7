"""Goes on where an origin broke off, so that the client notices nothing.

Only where no byte can come of another version: by a strong validator, and with every other number
the same (RFC 9110 sections 13.1.5 and 15.3.7).
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from streams.delivery.source import Source
from streams.net.errors import (
    BodyError,
    BusyError,
    ForbiddenError,
    OriginError,
    OriginTimeoutError,
    StalledError,
    TruncatedError,
)
from streams.net.pace import NARROW, Pace
from streams.origins import Opened, Wanted
from streams.wire import validators
from streams.wire.ranges import Asked, ByteRange

logger = logging.getLogger(__name__)

# In a row without a byte, and in all. An origin that lives for 15 minutes at a time, at 2 MB/s,
# carries 180 GB before the second is used up.
MOST_IN_VAIN = 4
MOST = 100
# Seconds before the first attempt in a row; each further one waits twice as long.
PAUSE = 0.2

# A new value of a secret may not have arrived everywhere yet.
_MAY_PASS = (BusyError, ForbiddenError, OriginTimeoutError)

Reopen = Callable[[Wanted], Awaitable[tuple[Source, bytes]]]


class ResumingSource:
    """The body of a download, over as many requests to the origin as it takes."""

    __slots__ = (
        "_closed", "_first", "_got", "_in_vain", "_pace", "_reopen", "_reopening", "_source",
        "_wanted", "opened", "resumes",
    )  # fmt: skip

    def __init__(self, source: Source, wanted: Wanted, reopen: Reopen, *, delivered: int) -> None:
        """`delivered` bytes of `source` have been read; `reopen` opens the same origin again."""
        # The first answer: what the client was told.
        self.opened = source.opened
        self.resumes = 0
        self._source = source
        self._wanted = wanted
        self._reopen = reopen
        self._got = delivered
        # Read with the head of the latest answer, and to be delivered.
        self._first = b""
        self._in_vain = 0
        self._pace = NARROW
        self._reopening = False
        self._closed = False

    async def read(self) -> bytes:
        """The next bytes, empty at an end that nothing speaks against. Raises `BodyError`."""
        while True:
            try:
                chunk = self._first or await self._source.read()
            except (TruncatedError, StalledError) as exc:
                await self._resume(exc)
                continue
            self._first = b""
            if chunk:
                self._got += len(chunk)
                self._in_vain = 0
            return chunk

    async def _resume(self, exc: BodyError) -> None:
        """Opens the rest, or raises `exc`."""
        rest = _rest(self.opened, self._got)
        self._source.abort()
        while rest and not self._closed and self._may_try():
            pause = PAUSE * 2**self._in_vain * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
            self._in_vain += 1
            self.resumes += 1
            logger.info("download_resumes", extra={"at": self._got, "reason": exc.code})
            self._reopening = True
            try:
                await asyncio.sleep(pause)
                source, first = await self._reopen(self._asking_for(rest))
            except OriginError as refusal:
                if refusal.passing or isinstance(refusal, _MAY_PASS):
                    continue
                break
            finally:
                self._reopening = False
            self._source = source
            if self._closed or not _continues(self.opened, source.opened, rest):
                source.abort()
                break
            self._first = first
            source.set_pace(self._pace)
            return
        raise exc

    def _may_try(self) -> bool:
        return self._in_vain < MOST_IN_VAIN and self.resumes < MOST

    def _asking_for(self, rest: ByteRange) -> Wanted:
        return Wanted(
            query=self._wanted.query,
            range=Asked(rest.first, rest.last),
            if_range=self.opened.etag,
        )

    def fail(self, exc: BodyError) -> None:
        """Makes a pending `read` take `exc` for the origin's end. Opening has limits of its own."""
        if not self._reopening:
            self._source.fail(exc)

    def set_pace(self, pace: Pace) -> None:
        self._pace = pace
        self._source.set_pace(pace)

    def abort(self) -> None:
        self._closed = True
        self._source.abort()


def _rest(opened: Opened, got: int) -> ByteRange | None:
    """What is still to come, in bytes of the whole object; None where it cannot be asked for."""
    if (
        opened.total is None
        or opened.length is None
        or got >= opened.length
        or not validators.is_strong(opened.etag)
        or "Content-Encoding" in opened.headers
    ):
        return None
    first = opened.range.first if opened.range else 0
    return ByteRange(first + got, first + opened.length - 1)


def _continues(told: Opened, opened: Opened, rest: ByteRange) -> bool:
    """Whether this is the rest of the same version, to the byte."""
    return opened.range == rest and opened.total == told.total and opened.etag == told.etag
