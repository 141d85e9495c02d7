"""How much one user, and one export, may draw: counted from the records of what runs.

A record is a lease: a process that was killed stops renewing its own, and they count no more. So
there is nothing else to keep, and nothing to clean up.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from streams.models import Download, Endpoint, User
from streams.models.downloads import DownloadQuerySet

# Seconds to wait where nothing says when a running download will end, and bounds for what does.
UNKNOWN_WAIT = 30
SHORTEST_WAIT, LONGEST_WAIT = 5, 600


class LimitError(Exception):
    """One more is too many. Bears a stable code, a sentence, and when to try again."""

    def __init__(self, code: str, message: str, retry_after: int) -> None:
        """`retry_after` is in seconds."""
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after

    @property
    def retry_at(self) -> datetime:
        return timezone.now() + timedelta(seconds=self.retry_after)


class RunningError(LimitError):
    """Too many are running, by what the records say."""


def too_many(wait: int) -> RunningError:
    """One client has as many as it may; `wait` is in seconds."""
    message = _("As many of your downloads are running as you may have at a time.")
    return RunningError("too_many_downloads", message, wait)


@dataclass(frozen=True)
class Limits:
    """None means no limit. Bandwidth and daily bytes are each user's."""

    concurrent: int | None = None
    per_user: int | None = None
    bytes_per_second: int | None = None
    daily_bytes: int | None = None

    @property
    def any_count(self) -> bool:
        return any((self.concurrent, self.per_user, self.daily_bytes))


def of_endpoint(endpoint: Endpoint) -> Limits:
    """`limits` of the registry: of one export."""
    said: dict[str, Any] = endpoint.limits or {}
    return Limits(**said)


def of_user() -> Limits:
    """`SPILLWAY_USER_*`: of one user, over all exports."""
    return Limits(
        per_user=settings.USER_CONCURRENT,
        bytes_per_second=settings.USER_BYTES_PER_SECOND,
        daily_bytes=settings.USER_DAILY_BYTES,
    )


def store(record: Download, endpoint: Endpoint, user: User) -> None:
    """Stores the record of a download that the limits allow. Raises `LimitError`.

    Two that ask at once ask one after the other: each waits for the row that the other holds.
    """
    own, everywhere = of_endpoint(endpoint), of_user()
    if not own.any_count and not everywhere.any_count:
        record.save(force_insert=True)
        return
    with transaction.atomic():
        if everywhere.any_count:
            User.objects.select_for_update().get(pk=user.pk)
            mine = Download.objects.filter(user=user)
            # A zip is one of theirs, since its exports are sent one after the other.
            _check(everywhere, mine.exclude(bundle=record.bundle) if record.bundle else mine, user)
        if own.any_count:
            Endpoint.objects.select_for_update().get(pk=endpoint.pk)
            _check(own, Download.objects.filter(endpoint=endpoint), user)
        record.save(force_insert=True)


def _check(limits: Limits, downloads: DownloadQuerySet, user: User) -> None:
    running = list(downloads.running().only("started_at", "sent", "size", "user_id", "bundle"))
    mine = [download for download in running if download.user_id == user.pk]
    if limits.concurrent and len(running) >= limits.concurrent:
        raise RunningError(
            "export_busy",
            _("As many downloads of this export are running as it allows."),
            _wait(running),
        )
    if limits.per_user and len({one.bundle or one.pk for one in mine}) >= limits.per_user:
        raise too_many(_wait(mine))
    if limits.daily_bytes and _drawn_today(downloads, user) >= limits.daily_bytes:
        raise LimitError(
            "daily_limit", _("You have had as many bytes as a day allows."), _until_tomorrow()
        )


def _drawn_today(downloads: DownloadQuerySet, user: User) -> int:
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    drawn = downloads.filter(user=user, started_at__gte=today).aggregate(sent=Sum("sent"))
    return int(drawn["sent"] or 0)


def _until_tomorrow() -> int:
    now = timezone.now()
    tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((tomorrow - now).total_seconds()) + 1


def _wait(running: list[Download]) -> int:
    """Seconds until the first of these may have ended, going by how it went so far."""
    now = timezone.now()
    left = [
        (download.size - download.sent)
        * (now - download.started_at).total_seconds()
        / download.sent
        for download in running
        if download.size and download.sent
    ]
    return int(min(max(min(left, default=UNKNOWN_WAIT), SHORTEST_WAIT), LONGEST_WAIT))
