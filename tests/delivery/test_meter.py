"""What the records say while downloads run, and whose end the meter is told of."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import NoReturn
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.utils import timezone

from streams.delivery import meter as metering
from streams.delivery import offload, stopping
from streams.delivery.meter import Meter
from streams.delivery.throttle import Throttles
from streams.models import Download, Figures, Proof, State, User
from streams.models.downloads import LEASE

pytestmark = pytest.mark.django_db(transaction=True)


async def begun(meter: Meter) -> Download:
    record = await Download.objects.acreate(slug="orders", username="ann")
    meter.began(record)
    return record


async def test_a_speed_is_told_of_what_moves_and_falls_to_nothing_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metering, "WINDOW", 0.05)
    meter = Meter(Throttles(), lambda _: None, Figures())
    record = await begun(meter)
    record.resumes = 2

    async def stored(sent: int) -> Download:
        record.sent += sent
        await asyncio.sleep(0.1)
        await meter.flush()
        return await Download.objects.aget(pk=record.pk)

    moving, idle = await stored(1_000_000), await stored(0)

    assert moving.speed is not None
    assert 100_000 < moving.speed <= 10_000_000
    assert (idle.sent, idle.speed, idle.resumes) == (1_000_000, 0, 2)


async def test_an_operator_is_heard_also_where_nothing_moves() -> None:
    heard: list[Mapping[UUID, str]] = []
    meter = Meter(Throttles(), heard.append, Figures())
    record = await begun(meter)
    await meter.flush()
    op = await User.objects.acreate(username="op")

    await sync_to_async(stopping.stop)(record, by=op, reason="Enough.")
    await meter.flush()

    assert heard == [{}, {record.pk: "stopped"}]


async def test_what_completes_before_it_is_heard_is_complete() -> None:
    meter = Meter(Throttles(), lambda _: None, Figures())
    record = await begun(meter)
    op = await User.objects.acreate(username="op")
    await sync_to_async(stopping.stop)(record, by=op, reason="Enough.")

    record.state, record.finished_at = State.COMPLETE, record.seen_at
    meter.ended(record)
    await meter.flush()

    stored = await Download.objects.aget(pk=record.pk)
    assert (stored.state, stored.reason, stored.stopped_by) == ("complete", "", "op")
    assert not await Download.objects.stopping().aexists()


async def test_what_was_handed_over_ends_as_its_carrier_says() -> None:
    meter = Meter(Throttles(), lambda _: None, Figures())
    record = await Download.objects.acreate(slug="orders", username="ann")
    meter.waits(record)
    now = timezone.now()
    record.filename, record.size = "orders.csv", 5
    await sync_to_async(offload.store)(record, now)
    row = Download.objects.filter(pk=record.pk)
    # It has not been told yet, and says that the download lives.
    await meter.flush()
    assert (await row.aget()).seen_at == now + offload.LONGEST

    meter.handed_over(record)
    ended = {"state": State.COMPLETE, "proof": Proof.LENGTH, "sent": 5, "finished_at": now}
    await row.aupdate(**ended, first_byte_at=now)
    await meter.flush()

    stored = await row.aget()
    assert (stored.proof, stored.first_byte_at, stored.filename) == ("length", now, "orders.csv")


async def test_after_an_outage_others_get_time_to_say_that_they_live(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metering, "TRUST", 0.3)
    of_another = await Download.objects.acreate(
        slug="orders", username="ann", seen_at=timezone.now() - 2 * LEASE
    )

    async def state(after: float) -> str:
        await asyncio.sleep(after)
        await meter.flush()
        await of_another.arefresh_from_db()
        return of_another.state

    meter = Meter(Throttles(), lambda _: None, Figures())
    assert await state(after=0) == "running", "this process has only just begun"
    with outage():
        assert await state(after=0.4) == "running"
    # It answers again: the first batch must not end it, nor one soon after.
    assert await state(after=0) == "running"
    assert await state(after=0) == "running"
    assert await state(after=0.4) == "interrupted"


@contextlib.contextmanager
def outage() -> Iterator[None]:
    """Writing fails, as the database's own driver has it."""

    def fails(*_: object) -> NoReturn:
        raise OperationalError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metering, "_write", fails)
        yield
