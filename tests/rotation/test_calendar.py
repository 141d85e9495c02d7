"""Stored schedules: what a tick starts, and what it leaves alone."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from streams.models import Rotation, Secret, SecretFunction, SecretVersion
from streams.rotation import calendar, starting

DAY = timedelta(days=1)


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
