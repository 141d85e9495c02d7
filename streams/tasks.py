"""What the workers do. A task takes ids, may run twice and may be lost: a tick finds the work."""

import logging
from uuid import UUID

from celery import shared_task
from celery.exceptions import OperationalError

from streams.models import Download, Notice, Rotation
from streams.notices import engine as notices
from streams.rotation import calendar, drift, engine, telling

logger = logging.getLogger(__name__)


@shared_task
def advance_due() -> None:
    """Does whatever is due by now. Cheap; may come late, doubled or not at all."""
    Download.objects.interrupt_abandoned()
    # Stored is all that they must be: the next line finds them.
    list(calendar.start_due())
    for pk in Rotation.objects.due().values_list("pk", flat=True):
        advance_rotation.delay(pk)
    for pk in drift.due():
        check_drift.delay(pk)
    telling.tell_overdue()
    telling.tell_slow()
    ring_notices()


@shared_task
def check_drift(pk: int) -> None:
    """Looks whether AWS still has the current value of a secret."""
    drift.check(pk)
    ring_notices()


@shared_task
def advance_rotation(pk: int) -> None:
    """Takes one rotation forward, and rings again when its next turn has come."""
    pause = engine.advance(pk)
    # What it has told goes out now, and not with the next tick.
    ring_notices()
    if pause is not None:
        advance_rotation.apply_async((pk,), countdown=pause)


def ring_notices() -> None:
    """Has what is due sent by workers. What they are not told of, the next tick finds."""
    try:
        for pk in Notice.objects.due().values_list("pk", flat=True):
            send_notice.delay(str(pk))
    except OperationalError:
        logger.warning("notices_not_rung")


@shared_task
def send_notice(pk: str) -> None:
    """Makes one attempt to deliver a notice; the tick finds when the next one is due."""
    notices.send(UUID(pk))
