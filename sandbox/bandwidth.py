"""Lambda's bandwidth limit on streamed responses: a token bucket."""

from __future__ import annotations

import asyncio
import time


class Bucket:
    """Full at first (`burst` bytes), refilled at `rate` bytes a second; a rate of 0 never waits."""

    def __init__(self, *, rate: int, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = time.monotonic()

    async def take(self, amount: int) -> None:
        """Wait until `amount` bytes may pass."""
        if not self._rate:
            return
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        # The balance may go below zero, so that an amount larger than the burst passes too.
        self._tokens -= amount
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)
