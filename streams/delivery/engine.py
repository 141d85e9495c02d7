"""What the downloads of one event loop share: client, credentials, memory, bandwidth, meter."""

import asyncio
import contextlib
from collections.abc import Collection
from uuid import UUID
from weakref import WeakKeyDictionary

from django.conf import settings

from streams.access.addresses import address_policy
from streams.aws.account import Account
from streams.delivery.meter import Meter
from streams.delivery.proving import ProvingSource
from streams.delivery.relay import Patience, Relay, WideLane
from streams.delivery.remembered import Remembered
from streams.delivery.segments import Memory
from streams.delivery.throttle import Throttles
from streams.models import Download, Endpoint
from streams.net.client import Client
from streams.net.pace import Socket

# Each may hold some 4 MiB. More than this many fast clients share one processor anyway.
WIDE_PLACES = 32


class Engine:
    """Lives as long as its event loop."""

    def __init__(self) -> None:
        self.client = Client(address_policy(), head_timeout=settings.HEAD_TIMEOUT)
        self.account = Account()
        self.memory = Memory(settings.SEGMENT_MEMORY)
        self.remembered = Remembered()
        self.throttles = Throttles()
        self.meter = Meter(self.throttles, self._stop)
        self.draining = False
        self._relays: set[Relay] = set()
        self._lane = WideLane(WIDE_PLACES)
        self._loop = asyncio.get_running_loop()
        self._metering = self._loop.create_task(self.meter.run())

    def relay(
        self, source: ProvingSource, record: Download, endpoint: Endpoint, client: Socket | None
    ) -> Relay:
        """Begins the body of a download whose record is stored."""
        patience = Patience(settings.IDLE_TIMEOUT, settings.CLIENT_TIMEOUT)
        throttle = self.throttles.enter(record, endpoint)
        relay = Relay(source, record, patience, self._ended, client, self._lane, throttle)
        relay.draining = self.draining
        self._relays.add(relay)
        self.meter.began(record)
        return relay

    def _ended(self, relay: Relay) -> None:
        self._relays.discard(relay)
        if relay.throttle is not None:
            self.throttles.leave(relay.throttle)
        self.meter.ended(relay.record, relay.parts)

    def _stop(self, wanted: Collection[UUID]) -> None:
        """Ends those of them that are carried here."""
        for relay in [one for one in self._relays if one.record.pk in wanted]:
            relay.stop()

    def drain(self) -> None:
        """The server is going down: what it ends from now on was not the client's doing.

        Safe to call from a signal handler.
        """
        if self.draining:
            return
        self.draining = True
        for relay in self._relays:
            relay.draining = True
        self._loop.call_soon_threadsafe(
            self._loop.call_later, settings.DRAIN_TIMEOUT, self._cut_short
        )

    def _cut_short(self) -> None:
        for relay in list(self._relays):
            relay.cut_short()

    async def close(self) -> None:
        """Ends what still runs and writes the last records."""
        self.drain()
        for relay in list(self._relays):
            await relay.aclose()
        self._metering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._metering
        await self.meter.flush()
        await self.client.close()


_engines: WeakKeyDictionary[asyncio.AbstractEventLoop, Engine] = WeakKeyDictionary()


def current() -> Engine:
    """The engine of the running event loop, started on first use."""
    loop = asyncio.get_running_loop()
    engine = _engines.get(loop)
    if engine is None:
        engine = _engines[loop] = Engine()
    return engine


async def shut_down() -> None:
    """Closes the running loop's engine."""
    engine = _engines.pop(asyncio.get_running_loop(), None)
    if engine is not None:
        await engine.close()
