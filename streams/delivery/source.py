"""The body of an opened origin, as it may be delivered."""

import asyncio

from portal import tracing
from streams.net.errors import BodyError, BrokenError, OriginTimeoutError, ReportedError
from streams.net.pace import Pace
from streams.origins import Opened
from streams.wire.trailer import ErrorReportError, TrailerGuard


class Source:
    """Reads an origin's body and withholds what is not part of the file."""

    __slots__ = ("_body", "_guard", "_span", "opened")

    def __init__(self, opened: Opened, span: tracing.Span | None = None) -> None:
        """`span` is that of the request, and ends when nothing more is read."""
        self.opened = opened
        self._span = span
        self._body = opened.body
        # A length tells a report from data already: the body would be too long or too short.
        guarded = opened.may_report_failure and opened.length is None
        self._guard = TrailerGuard() if guarded else None

    async def read(self) -> bytes:
        """The next bytes, empty at an end that nothing speaks against. Raises `BodyError`."""
        try:
            while chunk := await self._body.read():
                if self._guard is None:
                    return chunk
                if ready := self._guard.feed(chunk):
                    return ready
            rest = self._rest()
        except BodyError as exc:
            self._end(exc.code)
            raise
        if not rest:
            self._end()
        return rest

    def _rest(self) -> bytes:
        if self._guard is None:
            return b""
        guard, self._guard = self._guard, None
        try:
            return guard.finish()
        except ErrorReportError as exc:
            raise ReportedError("the body ends in a runtime's error report") from exc

    async def first(self, seconds: float) -> bytes:
        """The first bytes, empty for an empty file, waited for at most `seconds`.

        Raises `BrokenError` or `OriginTimeoutError`: nothing was sent yet, so an error can be told.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self.read()
        except TimeoutError as exc:
            raise OriginTimeoutError("The source began to answer, but sent no byte.") from exc
        except BodyError as exc:
            raise BrokenError from exc

    def fail(self, exc: BodyError) -> None:
        self._body.fail(exc)

    def set_pace(self, pace: Pace) -> None:
        self._body.set_pace(pace)

    def abort(self) -> None:
        self._body.abort()
        self._end()

    def _end(self, failure: str = "") -> None:
        if self._span is not None:
            self._span.end(failure=failure)
