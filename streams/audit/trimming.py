"""Takes the oldest entries away, after their time. What is left can still be verified."""

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from streams.audit import chain, log, protection
from streams.models import AuditEntry


class BrokenError(Exception):
    """The head is not as it was left: it says nothing of what could be taken away."""


def trim(older: timedelta) -> int:
    """Takes those away that are older, and records that it did; how many. Raises `BrokenError`."""
    with transaction.atomic():
        head, trouble = log.locked()
        if trouble:
            raise BrokenError(trouble)
        last = AuditEntry.objects.filter(time__lt=Now() - older).first()
        if last is None:
            return 0
        count = _take(last.number)
        head.trimmed, head.trimmed_digest = last.number, last.digest
        chain.seal_head(head)
        head.save()
        log.record(
            "audit.trimmed",
            by=None,
            what=f"entries up to {last.number}",
            details={"entries": str(count), "digest": last.digest},
        )
    return count


def _take(last: int) -> int:
    entries = AuditEntry.objects.filter(number__lte=last)
    count = entries.count()
    protection.lift()
    entries._raw_delete(using=entries.db)
    protection.protect()
    return count
