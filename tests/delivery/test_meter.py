"""What the records say while downloads run, and whose end the meter is told of."""

import asyncio
from collections.abc import Collection
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from streams.delivery import meter as metering
from streams.delivery import stopping
from streams.delivery.meter import Meter
from streams.delivery.throttle import Throttles
from streams.models import Download, State, User

pytestmark = pytest.mark.django_db(transaction=True)


async def begun(meter: Meter) -> Download:
    record = await Download.objects.acreate(slug="orders", username="ann")
    meter.began(record)
    return record


async def test_a_speed_is_told_of_what_moves_and_falls_to_nothing_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metering, "WINDOW", 0.05)
    meter = Meter(Throttles(), lambda _: None)
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
    heard: list[Collection[UUID]] = []
    meter = Meter(Throttles(), heard.append)
    record = await begun(meter)
    await meter.flush()
    op = await User.objects.acreate(username="op")

    await sync_to_async(stopping.stop)(record, by=op, reason="Enough.")
    await meter.flush()

    assert heard == [set(), {record.pk}]


async def test_what_completes_before_it_is_heard_is_complete() -> None:
    meter = Meter(Throttles(), lambda _: None)
    record = await begun(meter)
    op = await User.objects.acreate(username="op")
    await sync_to_async(stopping.stop)(record, by=op, reason="Enough.")

    record.state, record.finished_at = State.COMPLETE, record.seen_at
    meter.ended(record)
    await meter.flush()

    stored = await Download.objects.aget(pk=record.pk)
    assert (stored.state, stored.reason, stored.stopped_by) == ("complete", "", "op")
    assert not await Download.objects.stopping().aexists()
