"""Async generators, for a runtime that is not asynchronous.

One event loop for the process, in a thread of its own: clients that were opened on it are warm in
the next invocation, and what keeps them alive runs on while a response waits for its reader.
"""

import asyncio
import contextlib
import functools
import queue
import threading
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    """There is nothing more, because of `failure` or because that was all."""

    failure: BaseException | None = None


class Driven(Generic[T], Iterator[T]):
    """What an async generator yields, each as soon as it is asked for and never before.

    The generator lives in one task from its beginning to its `aclose`, so that time-outs, task
    groups and cancel scopes may reach over its yields. Must be closed, as a generator would be.
    """

    def __init__(self, source: AsyncGenerator[T, None]) -> None:
        self._source = source
        self._made: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self._asked: asyncio.Queue[bool] = asyncio.Queue()
        self._over = False
        self._loop = _loop()
        asyncio.run_coroutine_threadsafe(self._drive(), self._loop)

    def __next__(self) -> T:
        if self._over:
            raise StopIteration
        self._loop.call_soon_threadsafe(self._asked.put_nowait, True)
        made = self._made.get()
        if not isinstance(made, _End):
            return made
        self._over = True
        raise made.failure or StopIteration

    def close(self) -> None:
        """Waits until the generator has ended what it holds open. Raises what that raises."""
        if self._over:
            return
        self._over = True
        self._loop.call_soon_threadsafe(self._asked.put_nowait, False)
        end = self._made.get()
        assert isinstance(end, _End)
        if end.failure:
            raise end.failure

    async def _drive(self) -> None:
        failure = None
        nothing = _End()
        try:
            async with contextlib.aclosing(self._source) as source:
                while await self._asked.get():
                    made = await anext(source, nothing)
                    if isinstance(made, _End):
                        break
                    self._made.put(made)
        except BaseException as exc:  # noqa: BLE001 - raised again in the thread that asked
            failure = exc
        self._made.put(_End(failure))


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    # A daemon: Lambda ends the process without asking, and a failed init must end it too.
    threading.Thread(target=loop.run_forever, name="spillway-loop", daemon=True).start()
    return loop
