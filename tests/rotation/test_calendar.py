"""Stored schedules: what a tick starts, and what it leaves alone."""

import itertools
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from streams.models import Rotation, Secret, SecretFunction, SecretVersion
from streams.rotation import calendar, starting

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def due(secret: Secret) -> Secret:
    """A secret whose time has come."""
    Secret.objects.update(rotate_every=30 * DAY)
    SecretVersion.objects.update(created_at=timezone.now() - 31 * DAY)
    return past(secret)


def past(secret: Secret) -> Secret:
    return calendar.with_past(Secret.objects.filter(pk=secret.pk)).get()


def test_what_is_due_is_started_once(due: Secret) -> None:
    started = [rotation for _ in range(3) for rotation in calendar.start_due()]

    assert [rotation.requested_by for rotation in started] == ["schedule"]
    assert Rotation.objects.count() == 1


def test_after_one_that_completed_the_next_is_a_period_away(due: Secret) -> None:
    list(calendar.start_due())
    Rotation.objects.update(state="completed", finished_at=timezone.now())

    assert not list(calendar.start_due())
    later = calendar.next_due(past(due))
    assert later is not None
    assert abs(later - timezone.now() - 30 * DAY) < timedelta(minutes=1)


def test_one_that_failed_is_tried_again_after_an_hour(due: Secret) -> None:
    list(calendar.start_due())
    Rotation.objects.update(state="failed", finished_at=timezone.now() - timedelta(minutes=59))
    assert not list(calendar.start_due())

    Rotation.objects.update(finished_at=timezone.now() - timedelta(minutes=61))
    assert len(list(calendar.start_due())) == 1


@pytest.mark.parametrize(
    "change", [{"rotation_paused": True}, {"rotate_every": None}, {"rotate_every": 40 * DAY}]
)
def test_what_is_paused_or_not_due_is_left_alone(due: Secret, change: dict[str, object]) -> None:
    Secret.objects.update(**change)

    assert not list(calendar.start_due())


def test_what_cannot_be_rotated_stays_overdue_and_stops_nothing_else(due: Secret) -> None:
    other = Secret.objects.create(name="zebra", rotate_every=DAY)
    other.versions.create(number=1, value="v" * 32, state="current")
    SecretVersion.objects.update(created_at=timezone.now() - 31 * DAY)
    SecretFunction.objects.create(secret=other, name="other", region="eu-central-1")
    SecretFunction.objects.filter(secret=due).delete()

    assert [rotation.secret for rotation in calendar.start_due()] == [other]
    assert calendar.is_overdue(past(due), timezone.now())


def test_one_under_way_keeps_another_from_beginning(due: Secret) -> None:
    starting.start(due, by="ada")

    assert not list(calendar.start_due())


@pytest.mark.django_db(transaction=True)
def test_many_schedulers_at_once_start_one(due: Secret) -> None:
    ready = threading.Barrier(6)

    def tick() -> None:
        ready.wait()
        list(calendar.start_due())
        connection.close()

    threads = [threading.Thread(target=tick) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Rotation.objects.count() == 1


@pytest.fixture
def clock(transactional_db: None) -> Iterator[time_machine.Traveller]:
    """One clock for the process and the embedded database, which stands still until it is moved."""
    assert connection.vendor == "sqlite"

    def strftime(_: str, __: str) -> str:
        return f"{timezone.now():%Y-%m-%d %H:%M:%S.%f}"

    connection.ensure_connection()
    with time_machine.travel(datetime(2026, 1, 5, 12, tzinfo=UTC), tick=False) as traveller:
        connection.connection.create_function("STRFTIME", -1, strftime)
        yield traveller
    # The next test gets a connection whose clock goes.
    connection.close()


@pytest.mark.slow
def test_months_of_ticks_with_outages_and_clocks_put_back(
    clock: time_machine.Traveller, secret: Secret
) -> None:
    SecretVersion.objects.update(created_at=timezone.now())
    Secret.objects.update(rotate_every=7 * DAY, window="22:00-04:00", jitter=6 * HOUR)
    dice = random.Random(20261125)
    begun: list[datetime] = []
    end = timezone.now() + 120 * DAY
    outage: datetime | None = timezone.now() + 40 * DAY
    while timezone.now() < end:
        step = timedelta(minutes=dice.choice([30, 45, 60, 90]))
        if outage and timezone.now() > outage:
            outage, step = None, 30 * DAY
        elif dice.random() < 0.005:
            # Somebody put the clock back.
            step = -HOUR
        clock.shift(step)
        Rotation.objects.open().update(state="completed", finished_at=Now())
        for _ in range(dice.choice([0, 1, 2])):
            begun += [rotation.started_at for rotation in calendar.start_due()]

    gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
    # One catch-up after the month that was missed.
    assert sum(gap > 28 * DAY for gap in gaps) == 1
    assert min(gaps) >= 7 * DAY - HOUR
    assert sorted(gaps)[-2] < 9 * DAY
    assert 11 <= len(begun) <= 15
    assert {moment.hour for moment in begun} <= {22, 23, 0, 1, 2, 3}
