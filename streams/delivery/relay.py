"""The body of one download, from the origin to the server's socket, a chunk at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, Self

from django.utils import timezone

from streams.delivery.digests import Parts
from streams.delivery.stopping import STATES
from streams.delivery.throttle import Throttle
from streams.models import Download, Proof, State
from streams.net.errors import BodyError, CorruptError, StalledError, TruncatedError
from streams.net.pace import NARROW, WIDE, Pace, Socket

# A client that took this many bytes without delay keeps up, and gets larger pieces. Far less than
# this the kernels at both ends take without any of it being read.
KEEPS_UP = 1024 * 1024
# Seconds in which a chunk counts as taken without delay, and as taken slowly.
PROMPT = 0.02
SLOW = 0.5


class DownloadCutError(Exception):
    """Raised into the server so that it cuts the connection: the only honest end of such a body."""

    # The log already has the cause; a traceback would say nothing more.
    expected_cut = True


class WideLane:
    """Room for a bounded number of downloads that read far ahead, so that memory stays bounded."""

    def __init__(self, places: int) -> None:
        self._free = places

    def enter(self) -> bool:
        """Whether there was a place; whoever got one must `leave`."""
        if not self._free:
            return False
        self._free -= 1
        return True

    def leave(self) -> None:
        self._free += 1


@dataclass(frozen=True)
class Patience:
    """Seconds of silence after which an origin, or a client that does not read, is given up."""

    origin_idle: float
    client_idle: float


class Provable(Protocol):
    """A body that knows, once it is read out, what speaks for its being whole."""

    @property
    def proof(self) -> Proof: ...
    @property
    def sha256(self) -> bytes: ...
    @property
    def parts(self) -> Parts: ...
    @property
    def resumes(self) -> int: ...
    async def read(self) -> bytes:
        """The next bytes, empty at the end. Raises `BodyError`."""
        ...

    def fail(self, exc: BodyError) -> None: ...
    def set_pace(self, pace: Pace) -> None: ...
    def abort(self) -> None: ...


class Relay:
    """An async iterator over the bytes of a download, and the keeper of its record.

    The server asks for the next chunk when the last one is on its way, so that a slow client slows
    the origin down. Django calls `aclose` however the response ends. A body that cannot be
    completed raises `DownloadCutError`; it never ends quietly.
    """

    __slots__ = (
        "_client", "_ended", "_lane", "_loop", "_on_end", "_origin_turn",
        "_patience", "_pending", "_prompt", "_since", "_source", "_stopped", "_store", "_task",
        "_throttle", "_watch", "_wide", "draining", "record",
    )  # fmt: skip

    def __init__(
        self,
        source: Provable,
        record: Download,
        patience: Patience,
        on_end: Callable[["Relay"], None],
        client: Socket | None,
        lane: WideLane,
        throttle: Throttle | None = None,
        store: Callable[[Download], Awaitable[None]] | None = None,
    ) -> None:
        """`client` is its socket, where the server gives it to us.

        `store` waits until a record that has ended is where every process sees it.
        """
        self.record = record
        self.draining = False
        self._source = source
        self._patience = patience
        self._on_end = on_end
        self._client = client
        self._lane = lane
        self._throttle = throttle
        self._store = store
        self._wide = False
        self._pending = 0
        self._prompt = 0
        self._ended = False
        # Why somebody wants its end.
        self._stopped = ""
        self._task: asyncio.Task[object] | None = None
        self._loop = asyncio.get_running_loop()
        # Whose turn it is, and since when. A response that never starts is the client's turn.
        self._origin_turn = False
        self._since = self._loop.time()
        self._watch_for(patience.client_idle)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            # It was ended before its response was begun; a source that is closed may look finished.
            raise DownloadCutError("it was ended before it began")
        taken = self._account()
        if taken and self._throttle is not None:
            await self._hold_back(self._throttle.spend(taken))
        self._origin_turn = True
        self._since = self._loop.time()
        chunk = await self._next_chunk()
        if not chunk:
            self._complete()
            raise StopAsyncIteration
        self._pending = len(chunk)
        self._origin_turn = False
        self._since = self._loop.time()
        return chunk

    async def aclose(self) -> None:
        """Ends whatever has not ended: the client left, or the server is going down."""
        self.forsake()

    def forsake(self) -> None:
        """The same, where its response was never begun."""
        if self._stopped:
            self._end(STATES[self._stopped], self._stopped)
        elif self.draining:
            self._end(State.CUT, "shutdown")
        elif self.record.reason:
            self._end(State.CANCELLED, self.record.reason)
        else:
            self._end(State.CANCELLED, "client_left")

    @property
    def parts(self) -> Parts:
        """The digests of what was sent, part by part."""
        return self._source.parts

    @property
    def throttle(self) -> Throttle | None:
        """What slows it down."""
        return self._throttle

    def slow_down(self, throttle: Throttle | None) -> None:
        """From now on, `throttle` is what slows it down."""
        self._throttle = throttle
        if throttle is not None and self._leave_lane():
            self._apply(NARROW)

    def stop(self, reason: str) -> None:
        """Somebody wants its end (see `stopping`). Does nothing to what has ended by itself."""
        self._stopped = reason
        if self._task is None:
            # The response was not begun yet.
            self._end(STATES[reason], reason)
        else:
            self.cut_short()

    def cut_short(self) -> None:
        """The server waits no longer. Ends the response; `aclose` writes the rest down."""
        if not self._ended and self._task is not None:
            self._task.cancel()

    def _account(self) -> int:
        """The server asks for more, so it has taken the last chunk. Gives the size of that."""
        taken, self._pending = self._pending, 0
        if taken:
            self.record.sent += taken
            self.record.resumes = self._source.resumes
            self._set_pace(taken, self._loop.time() - self._since)
        elif self._task is None:
            self._task = asyncio.current_task()
        return taken

    async def _hold_back(self, seconds: float) -> None:
        """Waits as bandwidth demands: nobody's turn, so nobody is late."""
        while seconds > 0:
            self._since = self._loop.time()
            pause = min(seconds, 1.0)
            await asyncio.sleep(pause)
            seconds -= pause

    def _set_pace(self, size: int, taken: float) -> None:
        if taken < PROMPT:
            self._prompt += size
            if self._throttle is not None:
                # Large pieces would make its bytes come in gusts.
                return
            if self._prompt >= KEEPS_UP and not self._wide and self._lane.enter():
                self._wide = True
                self._apply(WIDE)
        elif taken > SLOW:
            self._prompt = 0
            if self._leave_lane():
                self._apply(NARROW)

    def _leave_lane(self) -> bool:
        if not self._wide:
            return False
        self._wide = False
        self._lane.leave()
        return True

    def _apply(self, pace: Pace) -> None:
        self._source.set_pace(pace)
        if self._client is not None:
            pace.apply_to_client(self._client)

    async def _next_chunk(self) -> bytes:
        try:
            return await self._source.read()
        except BodyError as exc:
            corrupt = isinstance(exc, CorruptError)
            self._end(State.CORRUPT if corrupt else State.CUT, exc.code)
            if corrupt and self._store is not None:
                # The client may ask for the rest at once, and must not get it.
                await self._store(self.record)
            raise DownloadCutError(str(exc)) from exc

    def _complete(self) -> None:
        size = self.record.size
        if size is not None and size != self.record.sent:
            self._end(State.CUT, TruncatedError.code)
            raise DownloadCutError("the origin sent another length than it announced")
        self.record.proof = self._source.proof
        self.record.sha256 = self._source.sha256.hex()
        self._end(State.COMPLETE, "")

    def _end(self, state: State, reason: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._watch.cancel()
        self._leave_lane()
        if state is not State.COMPLETE:
            self._source.abort()
        self.record.state = state
        self.record.reason = reason
        self.record.resumes = self._source.resumes
        self.record.finished_at = timezone.now()
        self._on_end(self)

    def _look(self) -> None:
        """One timer a download: gives up whoever has been silent for too long."""
        limit = self._patience.origin_idle if self._origin_turn else self._patience.client_idle
        left = self._since + limit - self._loop.time()
        if left > 0:
            self._watch_for(left)
        elif self._origin_turn:
            # It may be opened again, and gets the same time then.
            self._since = self._loop.time()
            self._watch_for(limit)
            self._source.fail(StalledError(f"the origin sent nothing for {limit:g} seconds"))
        else:
            self._end_stalled_client()

    def _watch_for(self, seconds: float) -> None:
        both = min(self._patience.origin_idle, self._patience.client_idle)
        self._watch = self._loop.call_later(min(seconds, both), self._look)

    def _end_stalled_client(self) -> None:
        self.record.reason = "client_stalled"
        if self._task is None:
            # The response was never begun, so nobody will close it.
            self._end(State.CANCELLED, "client_left")
        else:
            self.cut_short()
