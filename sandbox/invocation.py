"""One invocation: the bridge between the function's POST and whoever reads the response.

The Runtime API feeds it, a function URL or an SDK client reads it. Two chunks wait in between,
no more: the function is held back to the pace of its reader.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any


class FunctionFailedError(Exception):
    """The function failed. `code` is AWS's name for it, `details` what the runtime said."""

    def __init__(self, code: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.details = details or {"errorType": code}


class ResponseTooLargeError(Exception):
    """The response passed its limit; the runtime is told so with a 413."""


class AbandonedError(Exception):
    """Nobody reads the response any more, and the settings say to stop the function's POST."""


@dataclass(frozen=True)
class Head:
    """How the response begins: what the runtime said before the first byte."""

    streaming: bool
    content_type: str


@dataclass(frozen=True)
class _End:
    error: FunctionFailedError | None = None


@dataclass(eq=False)
class Invocation:
    """Work for one process. `seconds` until the time-out, `limit` in bytes of response."""

    event: bytes
    arn: str
    seconds: float
    limit: int
    drain: bool = True
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        self.deadline = time.time() + self.seconds
        self.sent = 0
        self._head: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self._queue: asyncio.Queue[bytes | _End] = asyncio.Queue()
        self._room = asyncio.Semaphore(2)
        self._over = False
        self._left = False

    # What the reader calls.

    async def head(self) -> Head:
        """Wait for the response to begin; raises FunctionFailedError where it never does."""
        return await asyncio.shield(self._head)

    async def body(self) -> AsyncIterator[bytes]:
        """The response's bytes; raises FunctionFailedError where they end too early."""
        while True:
            part = await self._queue.get()
            if isinstance(part, bytes):
                self._room.release()
                yield part
                continue
            if part.error is not None:
                raise part.error
            return

    def leave(self) -> None:
        """The reader has gone: from now on bytes are dropped."""
        self._left = True
        # Lets a chunk through that waits for room right now.
        self._room.release()

    # What the Runtime API calls.

    @property
    def begun(self) -> bool:
        return self._head.done()

    @property
    def over(self) -> bool:
        return self._over

    def begin(self, head: Head) -> None:
        self._head.set_result(head)

    async def feed(self, chunk: bytes) -> None:
        """Pass bytes on, as fast as they are read.

        Raises ResponseTooLargeError past the limit, AbandonedError without a reader to drain for.
        """
        allowed = chunk[: self.limit - self.sent]
        self.sent += len(allowed)
        if allowed:
            await self._put(allowed)
        if len(allowed) < len(chunk):
            self.fail("Function.ResponseSizeTooLarge")
            raise ResponseTooLargeError

    def finish(self) -> None:
        self._end(_End())

    def fail(self, code: str, details: dict[str, Any] | None = None) -> None:
        """End with an error; what was said first stays true."""
        error = FunctionFailedError(code, details)
        if self.begun:
            self._end(_End(error))
            return
        self._over = True
        self._head.set_exception(error)
        # An unread failure is no news to the event loop: the reader may have left.
        self._head.exception()

    def _end(self, end: _End) -> None:
        if not self._over:
            self._over = True
            self._queue.put_nowait(end)

    async def _put(self, part: bytes) -> None:
        if not self._left:
            await self._room.acquire()
        if not self._left:
            self._queue.put_nowait(part)
        elif not self.drain:
            raise AbandonedError
