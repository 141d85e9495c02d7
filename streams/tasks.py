"""What the workers do. A task takes ids, may run twice and may be lost: a tick finds the work."""

from celery import shared_task

from streams.models import Download, Rotation
from streams.rotation import calendar, drift, engine


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


@shared_task
def check_drift(pk: int) -> None:
    """Looks whether AWS still has the current value of a secret."""
    drift.check(pk)


@shared_task
def advance_rotation(pk: int) -> None:
    """Takes one rotation forward, and rings again when its next turn has come."""
    pause = engine.advance(pk)
    if pause is not None:
        advance_rotation.apply_async((pk,), countdown=pause)
