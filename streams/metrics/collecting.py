"""Finds out what is told, by some twenty queries, each of few rows or over an index of few."""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import accumulate
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

import portal
from streams.metrics import definitions as told
from streams.metrics.definitions import COUNTERS, HISTOGRAMS, Definition
from streams.models import (
    Checkup,
    CutWatch,
    DoctorRun,
    Download,
    DriftCheck,
    Endpoint,
    Examination,
    Figure,
    Figures,
    Health,
    Installation,
    Mode,
    Notice,
    NoticeState,
    ReadyRequest,
    Rotation,
    RotationState,
    Secret,
    Setup,
    State,
    Tally,
)
from streams.models.health import lasting
from streams.models.rotations import OPEN
from streams.models.tallies import BOUNDS, SUM, Key
from streams.net.errors import CorruptError
from streams.rotation import calendar

Labelled = Mapping[tuple[str, ...], float]


def collect() -> list[Metric]:
    """All of it. Where the database is away, only that."""
    began = time.monotonic()
    try:
        found = list(_stored())
    except DatabaseError:
        found = []
    up = {(): float(bool(found))}
    return [
        _gauge(told.BUILD_INFO, {(portal.VERSION,): 1}),
        _gauge(told.DATABASE_UP, up),
        *found,
        _gauge(told.COLLECT_SECONDS, {(): time.monotonic() - began}),
    ]


def _stored() -> Iterator[Metric]:
    figures = Figures(_NONE | _no_tasks() | Tally.objects.figures())
    slugs = set(Endpoint.objects.values_list("slug", flat=True))
    for figure, counter in COUNTERS.items():
        yield _counter(counter, _of(figures, figure), slugs)
    for figure, histogram in HISTOGRAMS.items():
        yield _histogram(histogram, figure, _of(figures, figure))
    yield from _downloads()
    yield from _doctor()
    yield from _rotations()
    yield from _secrets()
    yield from _work()
    yield _gauge(told.NOTICES, dict(_notices()))


# What an alert waits for is told before it happens: of a series that begins with its first one,
# Prometheus sees no increase. Of what is by endpoint that would be too many.
_ENDS = (RotationState.COMPLETED, RotationState.ROLLED_BACK, RotationState.FAILED)
_NONE: dict[Key, float] = {
    Key(Figure.SEGMENTS): 0,
    Key(Figure.UNFINISHED, (State.CORRUPT, CorruptError.code)): 0,
    **{Key(Figure.RESPONSES, (f"{n}xx",)): 0 for n in range(2, 6)},
    **{Key(Figure.ROTATIONS, (mode, end)): 0 for mode in Mode for end in _ENDS},
}


def _no_tasks() -> dict[Key, float]:
    ours = [name for name in current_app.tasks if name.startswith("streams.")]
    return {Key(Figure.TASKS, (name, end)): 0 for name in ours for end in ("success", "failure")}


def _of(figures: Figures, figure: Figure) -> Labelled:
    return {key.labels: value for key, value in figures.items() if key.figure == figure}


def _counter(counter: Definition, values: Labelled, slugs: set[str]) -> Metric:
    family = CounterMetricFamily(counter.name, counter.help, labels=counter.labels)
    for labels, value in values.items():
        # So that there are never more than the registry has. One that comes back goes on.
        if "endpoint" not in counter.labels or labels[0] in slugs:
            family.add_metric(labels, value)
    return family


def _histogram(histogram: Definition, figure: Figure, values: Labelled) -> Metric:
    bounds = BOUNDS[figure]
    counts = accumulate(values.get((str(bound),), 0.0) for bound in bounds)
    buckets = list(zip(map(floatToGoString, bounds), counts, strict=True))
    family = HistogramMetricFamily(histogram.name, histogram.help)
    family.add_metric((), buckets, values.get((SUM,), 0.0))
    return family


def _gauge(gauge: Definition, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _downloads() -> Iterator[Metric]:
    running = Download.objects.running().order_by().values_list("slug")
    yield _gauge(told.RUNNING, {(slug,): n for slug, n in running.annotate(n=Count("*"))})
    often = CutWatch.objects.filter(since__isnull=False, endpoint__enabled=True)
    yield _gauge(told.CUT_OFTEN, {(): often.count()})


def _doctor() -> Iterator[Metric]:
    looked_at: Any = Checkup.objects.with_health().filter(endpoint__enabled=True)
    health = {(str(one),): 0 for one in Health}
    health |= {(one,): n for one, n in looked_at.values_list("health_now").annotate(n=Count("*"))}
    # Those that it has not seen yet have no row.
    known = sum(health.values())
    health[Health.UNKNOWN,] += Endpoint.objects.filter(enabled=True).count() - known
    yield _gauge(told.ENDPOINTS, health)
    last = DoctorRun.objects.order_by().values("checkup").annotate(last=Max("pk")).values("last")
    shown = Q(checkup__endpoint=None) | Q(checkup__endpoint__enabled=True)
    runs = DoctorRun.objects.filter(shown, pk__in=last, ended_at__gt=Now() - lasting()).order_by()
    findings = {}
    for slug, errors, warnings in runs.values_list("checkup__endpoint__slug", "errors", "warnings"):
        findings[slug or "", "error"] = errors
        findings[slug or "", "warning"] = warnings
    yield _gauge(told.FINDINGS, findings)


def _rotations() -> Iterator[Metric]:
    rows = Rotation.objects.open().order_by().values_list("step", "state")
    yield _gauge(told.ROTATIONS_OPEN, {(step, s): n for step, s, n in rows.annotate(n=Count("*"))})
    ages = {(str(state),): 0.0 for state in OPEN}
    slowest = Rotation.objects.open().order_by().values_list("state")
    for state, since, now in slowest.annotate(since=Min("stretch_at"), now=Now()):
        ages[state,] = _seconds(since, now)
    yield _gauge(told.ROTATION_AGE, ages)


def _secrets() -> Iterator[Metric]:
    now = timezone.now()
    scheduled = Secret.objects.filter(rotate_every__isnull=False, rotation_paused=False)
    overdue = [one for one in calendar.with_past(scheduled) if calendar.is_overdue(one, now)]
    yield _gauge(told.SECRETS_OVERDUE, {(): len(overdue)})
    yield _gauge(told.SECRETS_DRIFTED, {(): DriftCheck.objects.exclude(found="").count()})


def _work() -> Iterator[Metric]:
    """What waits for workers, and whether one hears the scheduler. By the database's clock."""
    row: Any = Installation.objects.annotate(now=Now()).first()
    since = row and (row.ticked_at or row.made_at)
    yield _gauge(told.TICK_AGE, {(): _seconds(since, row.now)} if row else {})
    period: Any = settings.CELERY_BEAT_SCHEDULE["tick"]["schedule"]
    yield _gauge(told.TICK_PERIOD, {(): float(period)})
    counts, ages = {}, {}
    for kind, (rows, column) in _queues().items():
        waiting = rows.order_by().aggregate(n=Count("pk"), since=Min(column), now=Max(Now()))
        counts[kind,] = waiting["n"]
        ages[kind,] = _seconds(waiting["since"], waiting["now"]) if waiting["n"] else 0.0
    yield _gauge(told.DUE, counts)
    yield _gauge(told.DUE_AGE, ages)


def _queues() -> dict[str, tuple[QuerySet[Any], str]]:
    """What the tick looks for (`tasks.advance_due`), and since when each is due."""
    shown = Q(endpoint=None) | Q(endpoint__enabled=True)
    return {
        "rotation": (Rotation.objects.due(), "due_at"),
        "drift": (DriftCheck.objects.due(), "due_at"),
        "diagnosis": (Examination.objects.due(), "due_at"),
        "setup": (Setup.objects.due(), "due_at"),
        "doctor": (Checkup.objects.due().filter(shown), "due_at"),
        "notice": (Notice.objects.due(), "due_at"),
        "ready": (ReadyRequest.objects.due(), "endpoint__checkup__looked_at"),
    }


def _notices() -> Iterator[tuple[tuple[str], int]]:
    # Those that were sent are many, and trouble nobody.
    for state in (NoticeState.WAITING, NoticeState.GIVEN_UP):
        yield (str(state),), Notice.objects.in_state(state).count()


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
