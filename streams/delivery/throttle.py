"""Bandwidth: token buckets that the downloads of one user share."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streams.delivery.limits import of_endpoint, of_user
from streams.models import Download, Endpoint

# A bucket holds what comes in this many seconds, so that a pause is made up for, but no more.
BURST = 1.0


class Key(NamedTuple):
    """Whose downloads share a bucket: a user's, of one endpoint or (None) of all."""

    user: int
    endpoint: int | None


class Bucket:
    """Fills at `rate` bytes a second, of which this process has a `share`."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._time = asyncio.get_running_loop().time
        self._tokens = rate * BURST
        self._filled_at = self._time()
        # Of all the downloads that share the rate, how many are of this process.
        self.share = 1.0
        self.users = 0

    def spend(self, size: int) -> float:
        """Takes `size` bytes. Seconds to wait before the next ones."""
        now = self._time()
        rate = self._rate * self.share
        self._tokens = min(rate * BURST, self._tokens + (now - self._filled_at) * rate) - size
        self._filled_at = now
        return -self._tokens / rate if self._tokens < 0 else 0.0


@dataclass(frozen=True)
class Throttle:
    """The buckets of one download."""

    buckets: Sequence[Bucket]

    def spend(self, size: int) -> float:
        """Seconds to wait after `size` bytes."""
        return max((bucket.spend(size) for bucket in self.buckets), default=0.0)


class Throttles:
    """The buckets of one process, each for as long as a download draws from it."""

    def __init__(self) -> None:
        self._buckets: dict[Key, Bucket] = {}

    def enter(self, record: Download, endpoint: Endpoint) -> Throttle | None:
        """What slows this download down, if anything. Whoever entered must `leave`."""
        rates = {
            Key(record.user_id or 0, endpoint.pk): of_endpoint(endpoint).bytes_per_second,
            Key(record.user_id or 0, None): of_user().bytes_per_second,
        }
        found = [self._entered(key, rate) for key, rate in rates.items() if rate]
        return Throttle(found) if found else None

    def _entered(self, key: Key, rate: int) -> Bucket:
        bucket = self._buckets.setdefault(key, Bucket(rate))
        bucket.users += 1
        return bucket

    def leave(self, throttle: Throttle) -> None:
        for key, bucket in list(self._buckets.items()):
            if bucket in throttle.buckets:
                bucket.users -= 1
                if not bucket.users:
                    del self._buckets[key]

    def keys(self) -> Iterable[Key]:
        return tuple(self._buckets)

    def share(self, running: dict[Key, int]) -> None:
        """Divides each rate by the downloads that draw on it in all processes."""
        for key, total in running.items():
            if bucket := self._buckets.get(key):
                bucket.share = bucket.users / max(total, bucket.users, 1)


def running(keys: Iterable[Key]) -> dict[Key, int]:
    """How many downloads draw on each key, in all processes. Asks the database."""
    counts: dict[Key, int] = {}
    for key in keys:
        # What waits for its first byte, or for its turn in a zip, draws nothing.
        rows = Download.objects.running().filter(user=key.user, first_byte_at__isnull=False)
        counts[key] = (rows if key.endpoint is None else rows.filter(endpoint=key.endpoint)).count()
    return counts
