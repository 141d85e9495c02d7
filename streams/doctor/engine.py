"""The doctor's own runs. Each is a row with a due time and a lease, so that no message is needed.

A worker that is killed leaves a lease that runs out, and another one begins anew: a run changes
nothing but what is stored of it.
"""

import logging
import time
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from streams.doctor import run, shares, storing
from streams.doctor.run import Report
from streams.models import Checkup, Endpoint, Why
from streams.rotation.engine import account

logger = logging.getLogger(__name__)

# Seconds for one run: what is not read by then is skipped.
SECONDS = 60.0
# More than a run can take: an origin that is silent keeps the last of its questions that long.
LEASE = 300.0
# Made at a time, but for those that somebody waits for: rotations need the workers too.
AT_ONCE = 1
# Seconds between the first runs of endpoints that are new together.
STEP = 20.0


def due() -> list[int]:
    """The checkups that a worker should make now. Each endpoint has one, and the portal."""
    Checkup.objects.bulk_create(_missing(), ignore_conflicts=True)
    waiting = Checkup.objects.due().order_by("due_at", "pk")
    asked = waiting.filter(why=Why.DEMAND)
    # Nobody downloads from one that is disabled.
    others = waiting.exclude(why=Why.DEMAND).filter(Q(endpoint=None) | Q(endpoint__enabled=True))
    free = max(0, AT_ONCE - Checkup.objects.running().count())
    return [*asked.values_list("pk", flat=True), *others.values_list("pk", flat=True)[:free]]


def ask(endpoint: Endpoint | None, *, by: str) -> Checkup:
    """Has it examined as soon as a worker is free; None: the portal."""
    row, _ = Checkup.objects.get_or_create(endpoint=endpoint)
    Checkup.objects.filter(pk=row.pk).ask(Why.DEMAND, by=by)
    return row


def examine(pk: int) -> None:
    """Makes the run, if it is due and nobody else does, and stores what it found."""
    claimed = _claim(pk)
    if claimed is None:
        return
    began = time.monotonic()
    try:
        report = _examined(claimed.endpoint)
    except Exception:
        # A fault of our own, or a database that is away: the others must have their turn.
        mine = Checkup.objects.filter(pk=pk, token=claimed.token)
        mine.update(lease_until=None, due_at=Now() + timedelta(seconds=storing.AGAIN))
        raise
    stored = storing.record(
        claimed,
        report,
        why=Why(claimed.why),
        by=claimed.asked_by,
        seconds=time.monotonic() - began,
        claimed=True,
    )
    logger.info(
        "doctor_examined",
        extra={
            "endpoint": claimed.endpoint.slug if claimed.endpoint else "",
            "why": claimed.why,
            "health": stored.health if stored else "lost",
        },
    )


def _examined(endpoint: Endpoint | None) -> Report:
    if endpoint is None:
        return shares.of_portal(run.examine_rest(account(), seconds=SECONDS))
    report = run.examine_endpoint(endpoint, account(), seconds=SECONDS)
    return dict(shares.of_endpoints(report))[endpoint.slug]


def _claim(pk: int) -> Checkup | None:
    with transaction.atomic():
        due = Checkup.objects.filter(pk=pk).due()
        until = Now() + timedelta(seconds=LEASE)
        # Due from now on, so that one whose workers are killed is last in the queue again.
        taken = {"token": F("token") + 1, "lease_until": until, "began_at": Now(), "due_at": Now()}
        if not due.update(**taken):
            return None
        return Checkup.objects.select_related("endpoint__secret").get(pk=pk)


def _missing() -> Iterator[Checkup]:
    if not Checkup.objects.filter(endpoint=None).exists():
        yield Checkup(endpoint=None)
    new = list(Endpoint.objects.filter(checkup=None).order_by("pk").values_list("pk", flat=True))
    step = min(STEP, settings.DOCTOR_EVERY / max(1, len(new)))
    for place, pk in enumerate(new):
        yield Checkup(endpoint_id=pk, due_at=Now() + timedelta(seconds=place * step))
