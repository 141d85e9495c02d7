"""Downloads that an operator ends: asked for in the record, done by the process that carries it."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from streams import audit
from streams.delivery.limits import LimitError
from streams.models import Download, State, User

# What the record then bears.
STOPPED = "stopped"
# Browsers fetch the rest of what was cut by themselves, within seconds.
REST = timedelta(minutes=1)


def stop(download: Download, *, by: User, reason: str) -> bool:
    """Asks for its end. False where it has ended, or where somebody else asked before.

    The process that carries it looks once a second. Where it completes before that, it is complete;
    where that process is dead, it ends as interrupted.
    """
    wanted = {
        "stop_asked_at": timezone.now(),
        "stopped_by": by.get_username(),
        "stop_reason": reason,
    }
    running = Download.objects.filter(pk=download.pk, state=State.RUNNING)
    with transaction.atomic():
        asked = running.filter(stop_asked_at__isnull=True).update(**wanted)
        if asked:
            details = {"download": str(download.pk), "user": download.username, "reason": reason}
            audit.record("download.stop-asked", by=by, what=download.slug, details=details)
    return bool(asked)


def refuse_resume(record: Download) -> None:
    """Raises `LimitError` where a download of this export by this user was stopped just now."""
    now = timezone.now()
    # Those that completed after all, or whose process was dead, may be gone on with.
    stopped = Download.objects.filter(
        state__in=[State.RUNNING, State.CUT], stop_asked_at__gt=now - REST
    )
    mine = stopped.filter(user=record.user, endpoint=record.endpoint)
    last = mine.order_by("-stop_asked_at").first()
    if last and last.stop_asked_at:
        left = (last.stop_asked_at + REST - now).total_seconds()
        told = _("An operator stopped it: %s") % last.stop_reason
        raise LimitError(STOPPED, told, int(left) + 1)
