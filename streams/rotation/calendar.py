"""Which secrets are due by their schedule, as the database tells it."""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from portal import each
from streams.models import Rotation, Secret
from streams.rotation import schedule, starting
from streams.rotation.problems import RotationError
from streams.rotation.schedule import Schedule

logger = logging.getLogger(__name__)

BY = "schedule"
# After one that did not complete: soon enough to be over by morning, too seldom to be a nuisance.
RETRY = timedelta(hours=1)


def start_due() -> list[Rotation]:
    """Starts what is due, once, however many schedulers look."""
    started: list[Rotation] = []

    def start(pk: int) -> None:
        try:
            rotation = _started(pk)
        except RotationError as exc:
            # It stays due, and the secret's page says that it is overdue.
            logger.warning("rotation_not_started", extra={"secret": pk, "reason": str(exc)})
            return
        started.extend([rotation] if rotation else [])

    scheduled = Secret.objects.filter(rotate_every__isnull=False, rotation_paused=False)
    each.attempt(scheduled.values_list("pk", flat=True), start)
    return started


def with_past(secrets: QuerySet[Secret]) -> QuerySet[Secret]:
    """The same secrets, with what the functions below ask about them."""
    ended = "rotations__finished_at"
    # A repair leaves the value as old as it was.
    real = ~Q(rotations__mode="repair")
    other = real & Q(rotations__state__in=["failed", "rolled-back"])
    return secrets.annotate(
        valued_at=Max("versions__created_at", filter=Q(versions__state="current")),
        completed_at=Max(ended, filter=real & Q(rotations__state="completed")),
        tried_at=Max(ended, filter=other),
    )


def next_due(secret: Secret) -> datetime | None:
    """When one of `with_past` is to rotate next; None where it does not on its own."""
    last = _last(secret)
    if secret.rotate_every is None or secret.rotation_paused or last is None:
        return None
    return schedule.next_due(_schedule(secret), last=last, key=secret.name)


def is_overdue(secret: Secret, now: datetime) -> bool:
    """Whether the time of one of `with_past` has passed without a rotation."""
    last = _last(secret)
    if secret.rotate_every is None or last is None:
        return False
    return schedule.is_overdue(_schedule(secret), last=last, now=now, key=secret.name)


@transaction.atomic
def _started(pk: int) -> Rotation | None:
    # The second of two schedulers waits here, and then finds nothing due.
    list(Secret.objects.select_for_update().filter(pk=pk))
    secret: Any = with_past(Secret.objects.filter(pk=pk)).annotate(now=Now()).first()
    if secret is None or secret.is_rotating():
        return None
    last, tried, now = _last(secret), secret.tried_at, secret.now
    if last is None or (tried is not None and now < tried + RETRY):
        return None
    if not schedule.is_due(_schedule(secret), last=last, now=now, key=secret.name):
        return None
    return starting.start(secret, by=BY)


def _schedule(secret: Secret) -> Schedule:
    assert secret.rotate_every is not None
    zone = timezone.get_default_timezone()
    return Schedule(secret.rotate_every, secret.window or None, secret.jitter, zone)


def _last(secret: Any) -> datetime | None:
    """When it got the value that it has; None where it has none."""
    return max(filter(None, (secret.valued_at, secret.completed_at)), default=None)
