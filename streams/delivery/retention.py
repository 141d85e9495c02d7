"""Records of downloads, which name people and addresses, are kept no longer than is wanted."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from streams.models import Download, State

# At one tick: nobody who writes waits long for it, and the next one goes on.
BATCH = 1_000


def forget(now: datetime | None = None) -> int:
    """Deletes the oldest of those that are due; how many. One that runs is never due."""
    if settings.KEEP_DOWNLOADS is None:
        return 0
    before = (now or timezone.now()) - timedelta(days=settings.KEEP_DOWNLOADS)
    due = Download.objects.filter(started_at__lt=before).exclude(state=State.RUNNING)
    oldest = list(due.order_by("started_at").values_list("pk", flat=True)[:BATCH])
    return Download.objects.filter(pk__in=oldest).delete()[0] if oldest else 0
