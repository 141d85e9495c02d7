"""Downloads that an operator ends, or who fetches them: asked for in the record, and done by the
process that carries it.
"""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from streams import audit
from streams.delivery.limits import LimitError
from streams.models import Download, State, User
from streams.models.downloads import DownloadQuerySet

# What the record then bears: an operator's doing, and its user's own.
STOPPED, CANCELLED = "stopped", "cancelled"
STATES = {STOPPED: State.CUT, CANCELLED: State.CANCELLED}
# Browsers fetch the rest of what was cut by themselves, within seconds.
REST = timedelta(minutes=1)


class StoppedError(Exception):
    """It was ended before its first byte, as `code` says: `STOPPED` or `CANCELLED`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def stop(download: Download, *, by: User, reason: str) -> bool:
    """Asks for its end. False where it has ended, or where somebody else asked before.

    The process that carries it looks once a second. Where it completes before that, it is complete;
    where that process is dead, it ends as interrupted. What nginx sends is out of reach. Of a zip,
    the whole is ended.
    """
    whole = Q(bundle=download.bundle) if download.bundle else Q(pk=download.pk)
    details = {"download": str(download.bundle or download.pk), "user": download.username}
    with transaction.atomic():
        asked = _ask(Download.objects.filter(whole), by=by, reason=reason)
        if asked:
            details["reason"] = reason
            audit.record("download.stop-asked", by=by, what=download.slug, details=details)
    return asked


def cancel(downloads: DownloadQuerySet, *, by: User) -> bool:
    """Asks for the end of one's own, likewise. The audit log has how it ended."""
    return _ask(downloads.filter(user=by, link=None), by=by, reason="")


def _ask(downloads: DownloadQuerySet, *, by: User, reason: str) -> bool:
    running = downloads.filter(state=State.RUNNING, offloaded=False, stop_asked_at__isnull=True)
    wanted = {"stopped_by": by.get_username(), "stop_reason": reason}
    return bool(running.update(stop_asked_at=timezone.now(), **wanted))


def asked() -> Mapping[UUID, str]:
    """Which are to end, whoever carries them, and what their records are to bear."""
    wanted = Download.objects.stopping().values_list("pk", "stop_reason")
    # An operator always says why.
    return {pk: STOPPED if why else CANCELLED for pk, why in wanted}


def refuse_zip_again(user: User) -> None:
    """Raises `LimitError` where a zip of this user was cut just now, and its browser asks again.

    All of it would be sent once more, up to five times, for one click.
    """
    mine = Download.objects.filter(user=user, bundle__isnull=False)
    # The browser may be faster than the record of its end.
    recent = mine.filter(Q(state=State.RUNNING) | Q(finished_at__gt=timezone.now() - REST))
    if recent.exclude(state=State.COMPLETE).exists():
        told = _("It was cut a moment ago, and does not start again by itself.")
        raise LimitError("zip_cut", told, int(REST.total_seconds()))


def refuse_resume(record: Download) -> None:
    """Raises `LimitError` where a download of this export by this user was stopped just now."""
    now = timezone.now()
    # Those that completed after all, or whose process was dead, may be gone on with.
    stopped = Download.objects.filter(
        state__in=[State.RUNNING, *STATES.values()], stop_asked_at__gt=now - REST
    )
    mine = stopped.filter(user=record.user, endpoint=record.endpoint, link=record.link)
    last = mine.order_by("-stop_asked_at").first()
    if last and last.stop_asked_at:
        left = (last.stop_asked_at + REST - now).total_seconds()
        if not last.stop_reason:
            raise LimitError(CANCELLED, _("You cancelled it a moment ago."), int(left) + 1)
        told = _("An operator stopped it: %s") % last.stop_reason
        raise LimitError(STOPPED, told, int(left) + 1)
