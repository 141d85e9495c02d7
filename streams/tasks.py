"""What the workers do. A task takes ids, may run twice and may be lost: a tick finds the work."""

from celery import shared_task

from streams.models import Download
from streams.rotation import engine


@shared_task
def advance_due() -> None:
    """Does whatever is due by now. Cheap; may come late, doubled or not at all."""
    Download.objects.interrupt_abandoned()
    engine.advance_due()


@shared_task
def advance_rotation(pk: int) -> None:
    """The doorbell of one rotation."""
    engine.advance(pk)
