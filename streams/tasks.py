"""What the workers do. A task takes ids, may run twice and may be lost: a tick finds the work."""

from celery import shared_task

from streams.models import Download


@shared_task
def advance_due() -> None:
    """Does whatever is due by now. Cheap; may come late, doubled or not at all."""
    Download.objects.interrupt_abandoned()
