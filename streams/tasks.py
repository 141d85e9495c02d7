"""What the workers do. A task takes ids, may run twice and may be lost: a tick finds the work."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

from celery import Task, shared_task
from django.conf import settings
from django.db.models import QuerySet
from kombu.exceptions import OperationalError

from portal import each
from streams import task_context  # noqa: F401 - whoever sends or runs a task hears its signals
from streams.delivery import abandoned, cuts, retention
from streams.doctor import diagnosing
from streams.doctor import engine as doctor
from streams.models import Channel, Installation, KeptAnswer, Notice, ReadyRequest, Rotation, Setup
from streams.notices import engine as notices
from streams.notices import ready
from streams.provisioning import setup
from streams.rotation import calendar, drift, engine, telling

logger = logging.getLogger(__name__)

# Seconds by which a tick may be late and still follow the one before.
LATE = 5.0


def ring(task: Task[Any, Any], pk: int | UUID, *, after: float = 0) -> bool:
    """Has a worker look at a row, in `after` seconds. Whether the broker took the message.

    Never fails, and takes some seconds at most: what a broker that is away is not told, the tick
    finds when it is back.
    """
    try:
        # An id of any kind travels as text or number, and no other argument ever does.
        task.apply_async((pk if isinstance(pk, int) else str(pk),), countdown=after, retry=False)
    except (OperationalError, OSError) as exc:
        # The message may bear the broker's address, with its password.
        logger.warning("doorbell_not_rung", extra={"task": task.name, "error": type(exc).__name__})
        return False
    return True


def _ring_all(task: Task[Any, Any], pks: Iterable[int | UUID]) -> None:
    """For each of them, as long as the broker takes messages."""
    all(ring(task, pk) for pk in pks)


@shared_task
def advance_due() -> None:
    """Does whatever is due by now. Cheap; may come late, doubled or not at all."""
    since = Installation.objects.tick()
    # A tick that did not come may have found no database, and then nobody could say that they live.
    if since is not None and since < settings.TICK + LATE:
        abandoned.interrupt()
    # A row that nobody foresaw fails one of them, and it is the others that must be told of it.
    each.attempt(_chores(), lambda chore: chore())


def _chores() -> Iterator[Callable[[], object]]:
    yield Channel.objects.seal
    yield KeptAnswer.objects.forget
    yield retention.forget
    # Stored is all that they must be: the next line finds them.
    yield calendar.start_due
    yield lambda: _ring_all(advance_rotation, _keys(Rotation.objects.due()))
    yield lambda: _ring_all(check_drift, drift.due())
    yield lambda: _ring_all(diagnose, diagnosing.due())
    yield lambda: _ring_all(provision, _keys(Setup.objects.due()))
    yield telling.tell_overdue
    yield telling.tell_slow
    yield cuts.tell
    yield ring_checkups
    yield ring_notices
    yield lambda: _ring_all(tell_ready, _keys(ReadyRequest.objects.due()))


def _keys(rows: QuerySet[Any]) -> Iterable[int | UUID]:
    return rows.values_list("pk", flat=True)


@shared_task
def tell_ready(pk: int) -> None:
    """Tells a user that an export is ready again."""
    ready.tell(pk)


@shared_task
def advance_rotation(pk: int) -> None:
    """Takes one rotation forward, and rings again when its next turn has come."""
    pause = engine.advance(pk)
    # What it has told goes out now, and not with the next tick.
    ring_notices()
    if pause is not None:
        ring(advance_rotation, pk, after=pause)
    else:
        # Where it has ended, the doctor looks at what it has changed.
        ring_checkups()


@shared_task
def check_drift(pk: int) -> None:
    """Looks whether AWS still has the current value of a secret."""
    drift.check(pk)
    ring_notices()


@shared_task
def provision(pk: int) -> None:
    """Makes what an endpoint needs in AWS, or takes it back."""
    setup.advance(pk)
    # The doctor looks at what is new.
    ring_checkups()


@shared_task
def diagnose(pk: int) -> None:
    """Looks why downloads of an export have failed."""
    diagnosing.look(pk)


def ring_checkups() -> None:
    """Has the doctor's due runs made by workers."""
    _ring_all(examine, doctor.due())


@shared_task
def examine(pk: int) -> None:
    """Makes one run of the doctor, and rings for the next one that waits for its turn."""
    doctor.examine(pk)
    ring_checkups()
    ring_notices()


def ring_notices() -> None:
    """Has what is due sent by workers."""
    _ring_all(send_notice, _keys(Notice.objects.due()))


@shared_task
def send_notice(pk: str) -> None:
    """Makes one attempt to deliver a notice; the tick finds when the next one is due."""
    notices.send(UUID(pk))
