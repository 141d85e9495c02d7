"""The bytes of one range of a file, over as many requests to the origin as it takes.

A body that breaks off is taken up where it ended; the client notices nothing but a pause. Only
where nothing can be spliced: a strong entity tag or a version pins what was sent so far, and the
answer must be exactly the rest, with every other number the same (RFC 9110 sections 13.1.5 and
15.3.7).
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from streams.delivery.source import Source
from streams.net.errors import (
    BodyError,
    BusyError,
    ChangedError,
    ForbiddenError,
    OriginError,
    OriginTimeoutError,
    ProtocolError,
    ReplacedError,
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
# An origin that is too busy is not asked more often than this, nor for longer, in seconds.
LONGEST_PAUSE = 10.0
PATIENCE = 60.0

# A new value of a secret may not have arrived everywhere yet.
_MAY_PASS = (ForbiddenError, OriginTimeoutError)

Reopen = Callable[[Wanted], Awaitable[tuple[Source, bytes]]]


class ResumingSource:
    """Reads one range. Opens the origin itself where it is not given an opened one."""

    __slots__ = (
        "_busy_since", "_closed", "_first", "_got", "_in_vain", "_on_busy", "_pace", "_reopen",
        "_reopening", "_source", "_span", "_wanted", "opened", "resumes",
    )  # fmt: skip

    def __init__(
        self,
        opened: Opened,
        wanted: Wanted,
        reopen: Reopen,
        *,
        span: ByteRange | None,
        source: Source | None = None,
        delivered: int = 0,
        on_busy: Callable[[], None] = lambda: None,
    ) -> None:
        """`opened` is what the client was told of the object, `span` what of it this reads.

        `span` is None for a body of unknown length. `delivered` bytes of `source` have been read.
        `reopen` opens the same origin again; `on_busy` learns that it answered 429.
        """
        self.opened = opened
        self.resumes = 0
        self._source = source
        self._span = span
        self._wanted = wanted
        self._reopen = reopen
        self._on_busy = on_busy
        self._got = delivered
        # Read with the head of the latest answer, and to be delivered.
        self._first = b""
        self._in_vain = 0
        self._busy_since: float | None = None
        self._pace = NARROW
        self._reopening = False
        self._closed = False

    async def read(self) -> bytes:
        """The next bytes, empty at an end that nothing speaks against. Raises `BodyError`."""
        while True:
            try:
                chunk = await self._next()
            except (TruncatedError, StalledError) as exc:
                await self._resume(exc)
                continue
            self._first = b""
            if chunk:
                self._got += len(chunk)
                self._in_vain = 0
                self._busy_since = None
            return chunk

    async def _next(self) -> bytes:
        if self._source is None:
            raise TruncatedError("not opened yet")
        chunk = self._first or await self._source.read()
        if self._span is not None:
            left = self._span.length - self._got
            if len(chunk) > left:
                raise TruncatedError("more bytes than the origin announced")
            if left and not chunk:
                raise TruncatedError("fewer bytes than the origin announced")
        return chunk

    async def _resume(self, cause: BodyError) -> None:
        """Opens what is still to come, or raises why it cannot be had."""
        if self._source is not None:
            self._source.abort()
        rest = _rest(self.opened, self._span, self._got)
        while rest and not self._closed and self._may_try():
            if self._source is not None or self._in_vain:
                self.resumes += 1
                logger.info("download_resumes", extra={"at": rest.first, "reason": cause.code})
            try:
                if await self._attempted(rest):
                    return
            except OriginError as refusal:
                if not (refusal.passing or isinstance(refusal, _MAY_PASS)):
                    break
        raise cause

    async def _attempted(self, rest: ByteRange) -> bool:
        """Whether the origin was opened at `rest`; False where it may be at the next attempt.

        Raises `OriginError` or `ChangedError`.
        """
        self._reopening = True
        try:
            await asyncio.sleep(self._pause())
            self._in_vain += 1
            source, first = await self._reopen(self._asking_for(rest))
        except ReplacedError as exc:
            raise ChangedError("the object was replaced") from exc
        except BusyError as exc:
            self._on_busy()
            await self._wait(exc)
            return False
        finally:
            self._reopening = False
        self._source = source
        if self._closed or not _continues(self.opened, source.opened, rest):
            source.abort()
            if source.opened.etag == self.opened.etag:
                raise ProtocolError("The source did not send the part that it was asked for.")
            raise ChangedError("the rest is of another version")
        self._first = first
        source.set_pace(self._pace)
        return True

    def _pause(self) -> float:
        fresh = self._source is None and not self._in_vain
        return 0.0 if fresh else _jittered(PAUSE * 2**self._in_vain)

    async def _wait(self, exc: BusyError) -> None:
        """Waits as long as the origin says; such an attempt was not in vain."""
        now = asyncio.get_running_loop().time()
        self._busy_since = self._busy_since or now
        self._in_vain -= 1
        await asyncio.sleep(_jittered(min(exc.retry_after or 1.0, LONGEST_PAUSE)))

    def _may_try(self) -> bool:
        since = self._busy_since
        patient = since is None or asyncio.get_running_loop().time() - since < PATIENCE
        return patient and self._in_vain < MOST_IN_VAIN and self.resumes < MOST

    def _asking_for(self, rest: ByteRange) -> Wanted:
        return Wanted(
            query=self._wanted.query,
            range=Asked(rest.first, rest.last),
            if_range=self.opened.etag,
            version=self.opened.version,
        )

    def fail(self, exc: BodyError) -> None:
        """Makes a pending `read` take `exc` for the origin's end. Opening has limits of its own."""
        if not self._reopening and self._source is not None:
            self._source.fail(exc)

    def set_pace(self, pace: Pace) -> None:
        self._pace = pace
        if self._source is not None:
            self._source.set_pace(pace)

    def abort(self) -> None:
        self._closed = True
        if self._source is not None:
            self._source.abort()


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret


def whole_span(opened: Opened) -> ByteRange | None:
    """Which bytes of the object a body is; None where it does not say."""
    if opened.range is not None or not opened.length:
        return opened.range
    return ByteRange(0, opened.length - 1)


def is_pinned(opened: Opened) -> bool:
    """Whether a part fetched later can be told to be of the same version, and counted in bytes."""
    return (
        opened.total is not None
        and validators.is_strong(opened.etag)
        and "Content-Encoding" not in opened.headers
    )


def _rest(opened: Opened, span: ByteRange | None, got: int) -> ByteRange | None:
    """What is still to come, in bytes of the whole object; None where it cannot be asked for."""
    if span is None or got >= span.length or not is_pinned(opened):
        return None
    return ByteRange(span.first + got, span.last)


def _continues(told: Opened, opened: Opened, rest: ByteRange) -> bool:
    """Whether this is the rest of the same version, to the byte."""
    return opened.range == rest and opened.total == told.total and opened.etag == told.etag
