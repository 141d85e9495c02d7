"""When a secret rotates on its own. Pure functions of their arguments: no clock, no database.

What is due depends on the last rotation alone. So a portal that was down for months does one, and
any number of schedulers that look at any time come to the same answer.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from hashlib import sha256

# How long after its time a rotation counts as overdue.
GRACE = timedelta(hours=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Schedule:
    """`window` is in wall-clock hours of `zone`, such as `22:00-04:00`; its end is not within."""

    every: timedelta
    window: str | None
    jitter: timedelta | None
    zone: tzinfo


def next_due(schedule: Schedule, *, last: datetime, key: str) -> datetime:
    """The instant (UTC) of the next rotation after one that was finished at `last`.

    The jitter follows from `key` and `last`: every worker computes the same.
    """
    due = last.astimezone(UTC) + schedule.every + _jitter(schedule, last, key)
    if schedule.window is None:
        return due
    for begin, end in _windows(schedule, due):
        if due < end:
            return max(due, begin)
    raise AssertionError("every day has a window")


def is_due(schedule: Schedule, *, last: datetime, now: datetime, key: str) -> bool:
    """Whether to begin one now. What was missed in an outage waits for the next window."""
    if now < next_due(schedule, last=last, key=key):
        return False
    return schedule.window is None or any(
        begin <= now < end for begin, end in _windows(schedule, now)
    )


def is_overdue(schedule: Schedule, *, last: datetime, now: datetime, key: str) -> bool:
    """Whether one should have begun, and an hour has passed since, or since its window's end."""
    due = next_due(schedule, last=last, key=key)
    if schedule.window is not None:
        due = next(end for begin, end in _windows(schedule, due) if due < end)
    return now >= due + GRACE


def _jitter(schedule: Schedule, last: datetime, key: str) -> timedelta:
    if not schedule.jitter:
        return timedelta(0)
    text = f"{key} {last.astimezone(UTC).isoformat()}"
    share = int.from_bytes(sha256(text.encode()).digest()[:8], "big") / 2**64
    return schedule.jitter * share


def _windows(schedule: Schedule, near: datetime) -> list[tuple[datetime, datetime]]:
    """The windows (UTC) that begin from the day before to the second day after, but for empty ones.

    One may be empty where clocks are put forward or back over its end.
    """
    assert schedule.window is not None
    first, last = (time.fromisoformat(text) for text in schedule.window.split("-"))
    days = [near.astimezone(schedule.zone).date() + _DAY * number for number in range(-1, 3)]
    found = []
    for day in days:
        begin = _instant(datetime.combine(day, first), schedule.zone)
        end_day = day if first < last else day + _DAY
        end = _instant(datetime.combine(end_day, last), schedule.zone)
        if begin < end:
            found.append((begin, end))
    return found


def _instant(wall: datetime, zone: tzinfo) -> datetime:
    """The instant of a wall-clock time.

    Of one that comes twice the first; one that is skipped is as much later as clocks are put
    forward.
    """
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
