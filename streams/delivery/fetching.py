"""From what a client wants to the source that delivers it: one stream, or segments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from streams.delivery.opening import opened_source
from streams.delivery.resuming import ResumingSource, is_pinned, whole_span
from streams.delivery.segments import Memory, Plan, SegmentedSource
from streams.delivery.source import Source
from streams.delivery.watching import Watch
from streams.net.errors import RangeError
from streams.origins import Credential, Opened, Origin, Reread, Wanted
from streams.wire.ranges import Asked, ByteRange, UnsatisfiableError

Stream = ResumingSource | SegmentedSource
Credentials = Sequence[Credential]


@dataclass(frozen=True)
class Fetch:
    """How one download reads its origin.

    `credentials` are those of its beginning; `reread` asks for those of now. `plan` is None for one
    stream. `timeout` is for the first byte, in seconds. `watch` is told of each request.
    """

    origin: Origin
    credentials: Credentials
    reread: Reread
    timeout: float
    plan: Plan | None
    memory: Memory
    watch: Watch

    async def begin(self, wanted: Wanted) -> tuple[Stream, bytes]:
        """A source whose `opened` is what the client is told, and the first bytes of it.

        Raises `OriginError`.
        """
        if self.plan is None or wanted.head_only:
            return await self._in_one(wanted)
        return await self._in_segments(wanted, self.plan)

    async def _in_one(self, wanted: Wanted) -> tuple[Stream, bytes]:
        source, first = await self._opened(wanted)
        return self._resuming(source, wanted, first), first

    async def _in_segments(self, wanted: Wanted, plan: Plan) -> tuple[Stream, bytes]:
        if wanted.range is not None and wanted.range.first is None:
            wanted = await self._from_the_front(wanted)
        try:
            source, first = await self._opened(replace(wanted, range=_first(wanted, plan)))
        except RangeError:
            if wanted.range is not None:
                raise
            # Of an empty file there is no first segment.
            return await self._in_one(wanted)
        opened = source.opened
        if opened.range is None:
            # The origin knows no ranges, or nothing has changed. Or something has: everything then.
            if opened.status == 304 or wanted.range is None:
                return self._resuming(source, wanted, first), first
            source.abort()
            return await self._in_segments(replace(wanted, range=None, if_range=None), plan)
        if opened.total is None or not (is_pinned(opened) or opened.total == opened.range.length):
            # Nothing says whether another segment would be of the same version.
            source.abort()
            return await self._in_one(wanted)
        return self._segmented(source, wanted, first, plan), first

    def _segmented(
        self, source: Source, wanted: Wanted, first: bytes, plan: Plan
    ) -> SegmentedSource:
        told = _told(source.opened, wanted)
        span, held = whole_span(told), source.opened.range
        assert span is not None
        assert held is not None
        rest = ByteRange(held.last + 1, span.last) if held.last < span.last else None

        def make(part: ByteRange, on_busy: Callable[[], None]) -> ResumingSource:
            self.watch.segment()
            return ResumingSource(told, wanted, self._reopen, span=part, on_busy=on_busy)

        self.watch.segment()
        begun = ResumingSource(
            told, wanted, self._reopen, span=held, source=source, delivered=len(first)
        )
        return SegmentedSource(told, source.opened, begun, rest, plan, make, self.memory)

    def _resuming(self, source: Source, wanted: Wanted, first: bytes) -> ResumingSource:
        opened = source.opened
        return ResumingSource(
            opened,
            wanted,
            self._reopen,
            span=whole_span(opened),
            source=source,
            delivered=len(first),
        )

    async def _from_the_front(self, wanted: Wanted) -> Wanted:
        """`wanted` with its range counted from the beginning, for which the size must be known."""
        assert wanted.range is not None
        source, _ = await self._opened(replace(wanted, range=Asked(0, 0)))
        source.abort()
        total = source.opened.total
        if total is None or source.opened.range is None:
            return replace(wanted, range=None, if_range=None)
        try:
            span = wanted.range.within(total)
        except UnsatisfiableError as exc:
            raise RangeError(total) from exc
        return replace(wanted, range=Asked(span.first, span.last))

    async def _opened(self, wanted: Wanted) -> tuple[Source, bytes]:
        return await opened_source(
            self.origin,
            wanted,
            self.credentials,
            watch=self.watch,
            first_byte_timeout=self.timeout,
            reread=self.reread,
        )

    async def _reopen(self, wanted: Wanted) -> tuple[Source, bytes]:
        # Hours may have passed, and a rotation with them.
        return await opened_source(
            self.origin,
            wanted,
            await self.reread(),
            watch=self.watch,
            first_byte_timeout=self.timeout,
            or_whole=False,
            reread=self.reread,
        )


def _first(wanted: Wanted, plan: Plan) -> Asked:
    """The first segment, of an object whose size is not known yet."""
    start = wanted.range.first if wanted.range and wanted.range.first else 0
    last = start + plan.size - 1
    if wanted.range and wanted.range.last is not None:
        last = min(last, wanted.range.last)
    return Asked(start, last)


def _told(opened: Opened, wanted: Wanted) -> Opened:
    """What the client is told of an object of which the first segment is open."""
    assert opened.total is not None
    if wanted.range is None:
        return replace(opened, status=200, range=None, length=opened.total)
    span = wanted.range.within(opened.total)
    return replace(opened, status=206, range=span, length=span.length)
