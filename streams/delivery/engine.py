"""What the downloads of one event loop share: client, credentials, memory, bandwidth, meter."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from uuid import UUID
from weakref import WeakKeyDictionary

from django.conf import settings

from streams.access.addresses import address_policy
from streams.aws.account import Account
from streams.delivery.digests import Parts
from streams.delivery.meter import Meter
from streams.delivery.offload import Versions
from streams.delivery.relay import Patience, Provable, Relay, WideLane
from streams.delivery.remembered import Remembered
from streams.delivery.segments import Memory
from streams.delivery.stopping import StoppedError
from streams.delivery.throttle import Throttle, Throttles
from streams.models import Download, Endpoint, Figures
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
        self.versions = Versions()
        self.throttles = Throttles()
        self.figures = Figures()
        self.meter = Meter(self.throttles, self._stop, self.figures)
        self.draining = False
        self._relays: set[Relay] = set()
        # How to end each download that is carried here, by the id of its record.
        self._stops: dict[UUID, Callable[[str], None]] = {}
        self._lane = WideLane(WIDE_PLACES)
        self._loop = asyncio.get_running_loop()
        self._metering = self._loop.create_task(self.meter.run())

    @contextlib.contextmanager
    def waiting(self, records: Sequence[Download]) -> Iterator[None]:
        """While their first bytes are waited for: records that are stored, and may be stopped.

        Raises `StoppedError` where that happens.
        """
        task, reasons = asyncio.current_task(), list[str]()
        assert task is not None

        def stop(reason: str) -> None:
            reasons.append(reason)
            task.cancel()

        for record in records:
            self.meter.waits(record)
            self._stops[record.pk] = stop
        try:
            yield
        except asyncio.CancelledError:
            if not reasons:
                raise
            task.uncancel()
            raise StoppedError(reasons[0]) from None
        finally:
            for record in records:
                if self._stops.get(record.pk) is stop:
                    del self._stops[record.pk]

    def relay(
        self, source: Provable, record: Download, endpoint: Endpoint, client: Socket | None
    ) -> Relay:
        """Begins the body of a download whose record is stored, in the task that will send it."""
        throttle = self.throttles.enter(record, endpoint)
        store = self.meter.stored
        relay = self._relay(source, record, self._ended, client, throttle, store)
        self._stops[record.pk] = relay.stop
        self.meter.began(record)
        return relay

    def _ended(self, relay: Relay) -> None:
        if relay.throttle is not None:
            self.throttles.leave(relay.throttle)
        self.ended(relay.record, relay.parts)

    def ended(self, record: Download, parts: Parts | None = None) -> None:
        """A download that was carried here has its last state."""
        self._stops.pop(record.pk, None)
        self.meter.ended(record, parts)

    def relay_of_many(
        self,
        source: Provable,
        whole: Download,
        records: Sequence[Download],
        on_end: Callable[[Relay], None],
        client: Socket | None,
    ) -> Relay:
        """Begins one body of several downloads, whose records are stored.

        `whole` is none: it counts what is sent in all. The `source` tells the meter when each
        begins, and `ended` when it has ended; `on_end` does so of those that have not by then.
        """
        relay = self._relay(source, whole, on_end, client)
        for record in records:
            self._stops[record.pk] = relay.stop
        return relay

    def _relay(
        self,
        source: Provable,
        record: Download,
        on_end: Callable[[Relay], None],
        client: Socket | None,
        throttle: Throttle | None = None,
        store: Callable[[Download], Awaitable[None]] | None = None,
    ) -> Relay:
        def ended(relay: Relay) -> None:
            self._relays.discard(relay)
            on_end(relay)

        patience = Patience(settings.IDLE_TIMEOUT, settings.CLIENT_TIMEOUT)
        relay = Relay(source, record, patience, ended, client, self._lane, throttle, store)
        relay.draining = self.draining
        self._relays.add(relay)
        # Django closes no response that a client left just before it was begun.
        if request := asyncio.current_task():
            request.add_done_callback(lambda _: relay.forsake())
        return relay

    def _stop(self, wanted: Mapping[UUID, str]) -> None:
        """Ends those of them that are carried here."""
        for pk, reason in wanted.items():
            if stop := self._stops.get(pk):
                stop(reason)

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
