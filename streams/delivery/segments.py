"""One file in parallel ranges, delivered in order.

This is how a download outgrows what one invocation may send (6 MB, 200 MB, 2 MB/s, 15 minutes). One
validator pins every segment, a segment that fails is fetched again alone, and towards the client it
stays one body.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from streams.delivery.resuming import ResumingSource
from streams.net.errors import BodyError
from streams.net.pace import NARROW, WIDE, Pace
from streams.origins import Opened
from streams.wire.ranges import ByteRange

# Of the time that a segment took to deliver, how much was spent waiting for the origin: above the
# first, more segments at once would help; below the second, the client is what is slow.
HUNGRY = 0.5
FED = 0.1
# Seconds of waiting after which that is judged before the segment has ended.
LONG = 0.25
# Seconds without another segment at once, after the origin said that it is too busy.
POLITE = 5.0


class Memory:
    """Bytes that all downloads of a process may hold ahead of their clients."""

    def __init__(self, size: int) -> None:
        self._free = size

    def take(self, size: int) -> bool:
        """Whether there was room; whoever got it must `give` it back."""
        if size > self._free:
            return False
        self._free -= size
        return True

    def give(self, size: int) -> None:
        self._free += size


@dataclass(frozen=True)
class Plan:
    """`size` in bytes; at most `parallel` segments are fetched at a time."""

    size: int
    parallel: int

    def split(self, rest: ByteRange) -> Iterator[ByteRange]:
        """`rest` in segments, the first of which begins where it begins."""
        for first in range(rest.first, rest.last + 1, self.size):
            yield ByteRange(first, min(first + self.size - 1, rest.last))


class _Segment:
    """One range: read straight through, or ahead into memory by a task."""

    __slots__ = ("_arrived", "_chunks", "_done", "_error", "_give_back", "_task", "source")

    def __init__(self, source: ResumingSource) -> None:
        self.source = source
        self._chunks: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._done = False
        self._error: Exception | None = None
        self._task: asyncio.Task[None] | None = None
        self._give_back: Callable[[], None] | None = None

    def read_ahead(self, give_back: Callable[[], None]) -> None:
        """Begins to fetch. `give_back` is called once its memory is free again."""
        self._give_back = give_back
        self.source.set_pace(WIDE)
        self._task = asyncio.get_running_loop().create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            while chunk := await self.source.read():
                self._chunks.append(chunk)
                self._arrived.set()
        except Exception as exc:  # noqa: BLE001 - raised where it is read
            self._error = exc
        finally:
            self._done = True
            self._arrived.set()

    async def read(self) -> bytes:
        if self._task is None:
            return await self.source.read()
        while not self._chunks and not self._done:
            self._arrived.clear()
            await self._arrived.wait()
        if self._chunks:
            return self._chunks.popleft()
        if self._error is not None:
            raise self._error
        self._release()
        return b""

    def set_pace(self, pace: Pace) -> None:
        if self._task is None:
            self.source.set_pace(pace)

    def abort(self) -> None:
        self.source.abort()
        self._chunks.clear()
        if self._task is not None:
            self._task.cancel()
        self._release()

    def _release(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class SegmentedSource:
    """The body of a download, of which the first segment is open."""

    __slots__ = (
        "_began", "_begun", "_front", "_held_until", "_loop", "_make", "_memory", "_pace", "_plan",
        "_queue", "_ranges", "_resumes", "_waited", "_window", "first", "opened",
    )  # fmt: skip

    def __init__(
        self,
        opened: Opened,
        answered: Opened,
        first: ResumingSource,
        rest: ByteRange | None,
        plan: Plan,
        make: Callable[[ByteRange, Callable[[], None]], ResumingSource],
        memory: Memory,
    ) -> None:
        """`opened` is what the client was told, `answered` what the origin said to that end.

        `first` reads the first segment, `rest` is what follows it.
        `make` makes a source of a range; it calls its second argument when the origin is too busy.
        """
        self.opened = opened
        # What the origin said with its first segment.
        self.first = answered
        self._plan = plan
        self._make = make
        self._memory = memory
        self._loop = asyncio.get_running_loop()
        self._front: _Segment | None = _Segment(first)
        self._queue: deque[_Segment] = deque()
        self._ranges = plan.split(rest) if rest else iter(())
        self._resumes = 0
        self._pace = NARROW
        # How many segments may be under way, the one that is being delivered among them.
        self._window = 1
        self._held_until = 0.0
        self._began = self._loop.time()
        self._waited = 0.0
        self._begun = False

    @property
    def resumes(self) -> int:
        """How often a segment was taken up again, so far."""
        return self._resumes + (self._front.source.resumes if self._front else 0)

    async def read(self) -> bytes:
        """The next bytes, empty at the end. Raises `BodyError`."""
        while self._front is not None:
            if not self._begun:
                # The client has taken what came with the head: worth a second segment.
                self._begun = True
                self._widen()
            asked = self._loop.time()
            chunk = await self._front.read()
            self._waited += self._loop.time() - asked
            if self._waited > LONG:
                self._judge()
            if chunk:
                return chunk
            self._advance()
        return b""

    def _advance(self) -> None:
        """One segment is delivered: on to the next, with a window that suits the client."""
        assert self._front is not None
        self._resumes += self._front.source.resumes
        self._judge()
        self._front = self._queue.popleft() if self._queue else self._straight()
        self._fill()

    def _judge(self) -> None:
        """Makes the window suit the client, by what was waited for since the last time."""
        now = self._loop.time()
        hungry = self._waited / max(now - self._began, 1e-6)
        self._began, self._waited = now, 0.0
        if hungry > HUNGRY:
            self._widen()
        elif hungry < FED:
            self._window = max(1, self._window - 1)

    def _widen(self) -> None:
        if self._loop.time() >= self._held_until:
            self._window = min(self._plan.parallel, self._window * 2)
        self._fill()

    def _narrow(self) -> None:
        """The origin is too busy: half as many, for a while."""
        self._window = max(1, self._window // 2)
        self._held_until = self._loop.time() + POLITE

    def _straight(self) -> _Segment | None:
        """The next segment, to be read at the client's own pace, without a place in memory."""
        span = next(self._ranges, None)
        if span is None:
            return None
        segment = _Segment(self._make(span, self._narrow))
        segment.set_pace(self._pace)
        return segment

    def _fill(self) -> None:
        """Begins as many segments ahead as the window and the process's memory allow."""
        size = self._plan.size
        while len(self._queue) + 1 < self._window and self._memory.take(size):
            span = next(self._ranges, None)
            if span is None:
                self._memory.give(size)
                return
            segment = _Segment(self._make(span, self._narrow))
            segment.read_ahead(lambda: self._memory.give(size))
            self._queue.append(segment)

    def fail(self, exc: BodyError) -> None:
        if self._front is not None:
            self._front.source.fail(exc)

    def set_pace(self, pace: Pace) -> None:
        self._pace = pace
        if self._front is not None:
            self._front.set_pace(pace)

    def abort(self) -> None:
        """Drops everything that is under way."""
        for segment in (self._front, *self._queue):
            if segment is not None:
                with contextlib.suppress(BodyError):
                    segment.abort()
        self._front = None
        self._queue.clear()
