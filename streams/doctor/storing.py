"""Stores what a run found: for each endpoint its share, and the rest for the portal."""

import logging
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from streams.doctor import comparing, shares, telling
from streams.doctor.run import Report
from streams.models import Checkup, DoctorRun, Endpoint, Health, Why

logger = logging.getLogger(__name__)

# So many runs of each endpoint stay.
KEPT = 10
# Seconds until what fails, or could not be seen, is looked at again.
AGAIN = 900.0


@dataclass(frozen=True)
class Difference:
    """From the last runs. `since` is when the oldest of them ended; None where there is none."""

    since: str | None
    new: list[dict[str, Any]]
    gone: list[dict[str, Any]]


def store(report: Report, *, seconds: float, complete: bool) -> Difference:
    """Stores a run that no worker made. `complete`: it looked at all that is registered."""
    parts = dict(shares.of_endpoints(report))
    endpoints = list(Endpoint.objects.filter(slug__in=parts))
    divided = [(endpoint, parts[endpoint.slug]) for endpoint in endpoints]
    rows = [(_row(endpoint), part) for endpoint, part in divided]
    if complete:
        rows.append((_row(None), shares.of_portal(report)))
    runs = [record(row, part, why=Why.COMMAND, seconds=seconds) for row, part in rows]
    return _difference([run.report for run in runs if run])


def record(
    checkup: Checkup,
    report: Report,
    *,
    why: Why,
    seconds: float,
    by: str = "",
    claimed: bool = False,
) -> DoctorRun | None:
    """Stores one share of a run, and tells where the health has changed to or from failing.

    `claimed`: by a worker that holds the row. None where that counts no more, since another one
    has taken over or the endpoint is gone.
    """
    with transaction.atomic():
        # Whoever else has looked at it meanwhile is before us or after us, and sees our state.
        locked = Checkup.objects.select_for_update().filter(pk=checkup.pk)
        row: Any = locked.annotate(now=Now()).first()
        if row is None or (claimed and row.token != checkup.token):
            return None
        stored = comparing.compared(report, row.runs.first(), row.now)
        health, reason = comparing.health(report, stored)
        severities = [one["severity"] for one in stored["findings"]]
        run = DoctorRun.objects.create(
            checkup=row, why=why, by=by, seconds=seconds, health=health, report=stored,
            errors=severities.count("error"), warnings=severities.count("warning"),
            passed=report.passed, skipped=len(report.skipped),
        )  # fmt: skip
        outcome = {"health": health, "reason": reason, "looked_at": Now()}
        outcome["told"] = telling.tell(row, run, reason)
        outcome["failing_since"] = _failing_since(row, health)
        if claimed:
            outcome["lease_until"] = None
        # Who asked while this run was under way gets another one.
        if row.asked_at is None or (claimed and row.asked == checkup.asked):
            outcome |= {"asked_at": None, "asked_by": "", "why": Why.SCHEDULE}
            outcome["due_at"] = Now() + _pause(health)
        locked.update(**outcome)
        _forget(row)
    return run


def _row(endpoint: Endpoint | None) -> Checkup:
    return Checkup.objects.get_or_create(endpoint=endpoint)[0]


def _failing_since(row: Any, health: Health) -> datetime | None:
    if health == Health.FAILING:
        return row.failing_since or row.now  # type: ignore[no-any-return]
    # What cannot be seen has not ended.
    return row.failing_since if health == Health.UNKNOWN else None


def _pause(health: Health) -> timedelta:
    # The jitter keeps those that were looked at together from coming together for ever.
    seconds = settings.DOCTOR_EVERY * random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
    soon = health in {Health.FAILING, Health.UNKNOWN}
    return timedelta(seconds=min(seconds, AGAIN) if soon else seconds)


def _forget(row: Checkup) -> None:
    kept = list(row.runs.values_list("pk", flat=True)[:KEPT])
    row.runs.exclude(pk__in=kept).delete()


def _difference(reports: list[dict[str, Any]]) -> Difference:
    compared = [one for one in reports if one["since"]]
    found = {comparing.key(one): one for report in reports for one in report["findings"]}
    new = {comparing.key(one): one for report in compared for one in report["new"]}
    still = {
        name
        for report in compared
        for name in map(comparing.key, report["findings"])
        if name not in map(comparing.key, report["new"])
    }
    gone = {comparing.key(one): one for report in compared for one in report["gone"]}
    return Difference(
        min((one["since"] for one in compared), default=None),
        [one for name, one in new.items() if name not in still],
        [one for name, one in gone.items() if name not in found],
    )
