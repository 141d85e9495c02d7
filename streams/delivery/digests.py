"""Digests of what a download sends, computed beside the event loop.

SHA-256 runs at 1 to 2 GB/s, the loop that moves the bytes not much faster: done there, it would
halve the throughput. hashlib lets go of the interpreter while it computes, so threads do it.
"""

import asyncio
import hashlib
import time
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Protocol

from awscrt import checksums as crt

# Of the file, not of the answer: the parts of a resumed download fit those of the first.
PART = 8 * 1024 * 1024
UNKNOWN = bytes(32)
# Pieces as small as a slow client gets are done at once; handing them over would cost as much.
SMALL = 32 * 1024
# How much goes to a thread at once, and how much may wait for it before reading pauses.
BATCH = 1024 * 1024
MOST_QUEUED = 4 * 1024 * 1024
# A second digest of the same bytes costs as much as the first: parts get a part of a processor, in
# bytes a second of all downloads of this process, and as much at once after a pause.
PARTS_RATE = 128 * 1024 * 1024
PARTS_BURST = 128 * 1024 * 1024

_THREADS = ThreadPoolExecutor(2, "digests")


class Hasher(Protocol):
    """Takes the bytes of a file in order."""

    def update(self, data: bytes | memoryview, /) -> object: ...


class Digester(Hasher, Protocol):
    def digest(self) -> bytes: ...


class _Crc:
    """A CRC in the form of `hashlib`."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self._value = 0
        # At some 70 GB/s; the third one runs at 3.
        self.cheap = algorithm in {"crc64nvme", "crc32c"}

    def update(self, data: bytes | memoryview) -> None:
        if self._algorithm == "crc64nvme":
            self._value = crt.crc64nvme(data, self._value)
        elif self._algorithm == "crc32c":
            self._value = crt.crc32c(data, self._value)
        else:
            self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(8 if self._algorithm == "crc64nvme" else 4, "big")


def digester(algorithm: str) -> Digester:
    """Computes one of `wire.checksums.ALGORITHMS` over what it is fed."""
    if algorithm == "sha256":
        return hashlib.sha256()
    if algorithm == "sha1":
        return hashlib.sha1(usedforsecurity=False)
    return _Crc(algorithm)


class _Budget:
    """So many bytes a second, in all threads."""

    def __init__(self, rate: int, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._left = float(burst)
        self._at = time.monotonic()
        self._lock = Lock()

    def take(self, size: int) -> bool:
        """Whether there was as much."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._left + (now - self._at) * self._rate, self._burst)
            self._at = now
            if self._left < size:
                return False
            self._left -= size
            return True


_BUDGET = _Budget(PARTS_RATE, PARTS_BURST)


class Parts:
    """SHA-256 of each part of `PART` bytes of the file that was sent whole.

    Of a part for which there was no time, it is `UNKNOWN`.
    """

    def __init__(self, offset: int) -> None:
        """`offset` is where in the file the first byte stands."""
        self.first = -(-offset // PART)
        self.digests = b""
        # Bytes to pass over until a part begins, and then bytes missing to the end of one.
        self._skip = self.first * PART - offset
        self._missing = PART
        self._part: Digester | None = None

    def update(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        if self._skip:
            passed = min(self._skip, len(view))
            self._skip -= passed
            view = view[passed:]
        while view:
            piece = view[: self._missing]
            if self._missing == PART and _BUDGET.take(PART):
                self._part = hashlib.sha256()
            if self._part is not None:
                self._part.update(piece)
            self._missing -= len(piece)
            if not self._missing:
                self.end()
            view = view[len(piece) :]

    def end(self) -> None:
        """The part is whole, or the file has ended."""
        if self._missing < PART:
            self.digests += UNKNOWN if self._part is None else self._part.digest()
            self._part = None
            self._missing = PART


class Digests:
    """Feeds `hashers` in order, in a thread where that is worth it."""

    __slots__ = ("_cheap", "_hashers", "_job", "_job_size", "_loop", "_queue", "_queued")

    def __init__(self, hashers: Sequence[Hasher]) -> None:
        self._hashers = hashers
        self._cheap = all(isinstance(hasher, _Crc) and hasher.cheap for hasher in hashers)
        self._loop = asyncio.get_running_loop()
        self._queue: list[bytes] = []
        self._queued = 0
        self._job: asyncio.Future[None] | None = None
        self._job_size = 0

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes. Returns at once."""
        idle = not self._queue and self._job is None
        if self._cheap or (idle and len(chunk) <= SMALL):
            self._update([chunk])
            return
        self._queue.append(chunk)
        self._queued += len(chunk)
        if self._job is None and self._queued >= BATCH:
            self._start()

    async def room(self) -> None:
        """Waits while too much is queued."""
        while self._job is not None and self._queued > MOST_QUEUED:
            await self._one_job(self._job)

    async def finish(self) -> None:
        """Waits until everything is digested."""
        while self._job is not None or self._queue:
            if self._job is None:
                self._start()
            assert self._job is not None
            await self._one_job(self._job)

    async def _one_job(self, job: "asyncio.Future[None]") -> None:
        await asyncio.shield(job)
        # One that is done already is not waited for, and its callback may still be to come.
        self._ended(job)

    def _start(self) -> None:
        batch, self._queue = self._queue, []
        self._job_size = sum(map(len, batch))
        self._job = self._loop.run_in_executor(_THREADS, self._update, batch)
        self._job.add_done_callback(self._ended)

    def _ended(self, job: "asyncio.Future[None]") -> None:
        if self._job is not job:
            return
        self._job = None
        self._queued -= self._job_size
        if not job.cancelled():
            job.result()
        if self._queued >= BATCH:
            self._start()

    def _update(self, batch: Sequence[bytes]) -> None:
        # One long update each: the interpreter is let go of, and waited for, once and not often.
        joined = b"".join(batch)
        for hasher in self._hashers:
            hasher.update(joined)
