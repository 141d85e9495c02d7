"""Reads the beginning of a file, and no more: as much as tells how it is made."""

import asyncio
from dataclasses import dataclass

from streams.doctor.facts import Sample
from streams.net.errors import BodyError
from streams.origins import Body, Credential, Opened, Origin, Wanted

# Seconds until the first byte; a cold start is among them.
PATIENCE = 20.0
# What is read of a file that comes whole, at most, and for how long.
BYTES = 256 * 1024
SECONDS = 2.0
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Beginning:
    """`sample` is None where no more than the first bytes was read.

    `looks_gzipped`: those are none, or gzip's.
    """

    opened: Opened
    sample: Sample | None
    looks_gzipped: bool


async def beginning(
    origin: Origin, wanted: Wanted, credential: Credential | None, *, sampled: bool
) -> Beginning:
    """Opens the origin, reads as far as the first byte, and a sample of what comes whole.

    Whatever happens, the origin is given up. Raises `OriginError`, `BodyError` or `TimeoutError`.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(PATIENCE) as patience:
        opened = await origin.open(wanted, credential)
        try:
            first = await opened.body.read()
            patience.reschedule(None)
            seconds = loop.time() - began
            whole = sampled and opened.range is None
            sample = await _sample(opened.body, first, seconds) if whole else None
        finally:
            opened.body.abort()
    return Beginning(opened, sample, looks_gzipped=_GZIP.startswith(first[:2]))


async def _sample(body: Body, first: bytes, seconds: float) -> Sample | None:
    """None where it breaks off: that says nothing of how it is made."""
    loop = asyncio.get_running_loop()
    began, size, ended = loop.time(), len(first), not first
    try:
        async with asyncio.timeout(SECONDS):
            while not ended and size < BYTES:
                chunk = await body.read()
                size, ended = size + len(chunk), not chunk
    except TimeoutError:
        pass
    except BodyError:
        return None
    return Sample(seconds, loop.time() - began, size, ended)
