"""What was sent and cut by the hour or by the day, as figures, as a chart and as a table."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.core.cache import cache
from django.db import models
from django.db.models import Count, Q, Sum, Value
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext_lazy as _

from streams.models import State
from streams.templatetags.units import size

# The chart's own units, which the page stretches to its place.
_SLOT = 100
_HEIGHT = 1000
_BAR = 76

# What began in a slot that is over for so long, and runs no more, changes no more: its sums are
# kept for so many seconds. A month of a busy portal is a million rows.
SETTLED = timedelta(minutes=10)
KEPT = 6 * 3600


class Range(models.TextChoices):
    DAY = "24h", _("24 hours")
    WEEK = "7d", _("7 days")
    MONTH = "30d", _("30 days")


# How many hours or days; one in how many has a label below, and what that says.
_SLOTS = {Range.DAY: (24, 6, "H:i"), Range.WEEK: (7, 1, "D j"), Range.MONTH: (30, 5, "j M")}


@dataclass(frozen=True)
class Slot:
    """One hour or day: how many downloads began in it, and what became of them."""

    begin: datetime
    name: str
    downloads: int
    cut: int
    sent: int


@dataclass(frozen=True)
class Traffic:
    """`since` is when the first slot begins: at most one slot less than the range is long."""

    range: Range
    slots: Sequence[Slot]

    @property
    def since(self) -> datetime:
        return self.slots[0].begin

    @property
    def downloads(self) -> int:
        return sum(slot.downloads for slot in self.slots)

    @property
    def cut(self) -> int:
        return sum(slot.cut for slot in self.slots)

    @property
    def sent(self) -> int:
        return sum(slot.sent for slot in self.slots)

    def list_of(self, **also: str) -> str:
        """The address of the list of these downloads, or of some of them."""
        return listed_since(self.since, **also)


def listed_since(since: datetime, **also: str) -> str:
    listed = reverse("admin:streams_download_changelist")
    return f"{listed}?{urlencode({'started_at__gte': since.isoformat(), **also})}"


def chosen(request: HttpRequest) -> Range:
    value = request.GET.get("range")
    return Range(value) if value in Range.values else Range.DAY


def traffic(downloads: models.QuerySet[Any], wanted: Range, now: datetime) -> Traffic:
    """Sums in one query what is not kept from before. The last slot has no end."""
    begins = _begins(wanted, now)
    ends = dict(zip(begins, [*begins[1:], None], strict=True))
    # Of these downloads: not everybody sees all of them.
    asked = hashlib.sha256(f"{wanted} {downloads.query}".encode()).hexdigest()
    key = f"traffic-{asked}"
    kept: dict[datetime, _Sum] = cache.get(key, {})
    missing = [(begin, end) for begin, end in ends.items() if begin not in kept]
    sums = kept | _summed(downloads, missing)
    settled = {
        begin: sums[begin]
        for begin, end in ends.items()
        if end and end < now - SETTLED and not sums[begin].running
    }
    if settled.keys() - kept.keys():
        cache.set(key, settled, KEPT)
    return Traffic(
        wanted,
        [
            Slot(one, _name(wanted, one), sums[one].downloads, sums[one].cut, sums[one].sent)
            for one in begins
        ],
    )


class _Sum(NamedTuple):
    downloads: int
    cut: int
    running: int
    sent: int


def _summed(
    downloads: models.QuerySet[Any], slots: Sequence[tuple[datetime, datetime | None]]
) -> dict[datetime, _Sum]:
    """In one query, each part of which reads a stretch of an index."""
    parts = [_part(downloads, number, *slot) for number, slot in enumerate(slots)]
    found = {begin: _Sum(0, 0, 0, 0) for begin, _end in slots}
    for row in parts[0].union(*parts[1:], all=True):
        begin, _end = slots[row["slot"]]
        # PostgreSQL's sum of large integers is a decimal number.
        found[begin] = _Sum(row["n"], row["cuts"], row["running"], int(row["bytes"] or 0))
    return found


def _part(
    downloads: models.QuerySet[Any], number: int, begin: datetime, end: datetime | None
) -> models.QuerySet[Any, Any]:
    within = Q(started_at__gte=begin)
    if end is not None:
        within &= Q(started_at__lt=end)
    found = downloads.order_by().filter(within).annotate(slot=Value(number)).values("slot")
    # Not of `pk`, which the index lacks.
    cuts, running = (Count("state", filter=Q(state=state)) for state in (State.CUT, State.RUNNING))
    summed: models.QuerySet[Any, Any] = found.annotate(
        n=Count("*"), cuts=cuts, running=running, bytes=Sum("sent")
    )
    return summed


def _begins(wanted: Range, now: datetime) -> list[datetime]:
    here = timezone.localtime(now)
    count, _every, _label = _SLOTS[wanted]
    back = range(count - 1, -1, -1)
    if wanted == Range.DAY:
        hour = here.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
        return [hour - timedelta(hours=hours) for hours in back]
    # By the calendar: a day has 23 or 25 hours twice a year.
    days = [here.date() - timedelta(days=days) for days in back]
    return [datetime.combine(day, time.min, here.tzinfo).astimezone(UTC) for day in days]


def _name(wanted: Range, begin: datetime) -> str:
    return _written(begin, "D H:i" if wanted == Range.DAY else "D j M")


def _written(moment: datetime, form: str) -> str:
    return date_format(timezone.localtime(moment), form)


def charts(told: Traffic) -> list[dict[str, Any]]:
    """Two, one above the other: their units differ."""
    return [
        _chart(told, "sent", _("Sent"), [slot.sent for slot in told.slots], size),
        _chart(told, "cut", _("Cut"), [slot.cut for slot in told.slots], number_format),
    ]


def _chart(told: Traffic, name: str, title: Any, values: list[int], shown: Any) -> dict[str, Any]:
    top = _round_up(max(*values, 1))
    _count, every, label = _SLOTS[told.range]
    most = max(range(len(values)), key=values.__getitem__)
    return {
        "name": name,
        "title": title,
        "top": shown(top),
        "most": shown(values[most]),
        "most_at": told.slots[most].name,
        "whole": shown(sum(values)),
        "width": len(values) * _SLOT,
        "height": _HEIGHT,
        "middle": _HEIGHT // 2,
        "bars": [
            _bar(number, value, top, f"{slot.name}: {shown(value)}")
            for number, (slot, value) in enumerate(zip(told.slots, values, strict=True))
            if value
        ],
        "labels": [_written(slot.begin, label) for slot in told.slots[::every]],
    }


def _bar(number: int, value: int, top: int, told: str) -> dict[str, Any]:
    # A little is more than nothing, and can be seen.
    height = max(_HEIGHT // 100, _HEIGHT * value // top)
    left = number * _SLOT + (_SLOT - _BAR) // 2
    return {"x": left, "y": _HEIGHT - height, "width": _BAR, "height": height, "told": told}


def _round_up(value: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50 and so on."""
    unit = int("1" + "0" * (len(str(value)) - 1))
    return next(step * unit for step in (1, 2, 5, 10) if step * unit >= value)
