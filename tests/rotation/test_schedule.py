"""When a rotation is due, over simulated months, with ticks that come as they like."""

import itertools
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.rotation.schedule import Schedule, is_due, is_overdue, next_due

BERLIN = ZoneInfo("Europe/Berlin")
# Half an hour of summer time.
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def plan(
    every: timedelta = 30 * DAY,
    window: str | None = None,
    jitter: timedelta | None = None,
    zone: ZoneInfo = BERLIN,
) -> Schedule:
    return Schedule(every, window, jitter, zone)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def local(zone: ZoneInfo, moment: datetime) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


def test_it_is_due_once_its_time_has_passed() -> None:
    last = utc(2026, 1, 1, 12)

    assert next_due(plan(), last=last, key="a") == utc(2026, 1, 31, 12)
    assert not is_due(plan(), last=last, now=utc(2026, 1, 31, 11, 59), key="a")
    assert is_due(plan(), last=last, now=utc(2026, 1, 31, 12), key="a")


@pytest.mark.parametrize(
    ("last", "window", "due"),
    [
        # Inside, before, and after the day's window; one over midnight.
        (utc(2026, 1, 1, 12), "12:00-14:00", "2026-01-31 13:00"),
        (utc(2026, 1, 1, 1), "12:00-14:00", "2026-01-31 12:00"),
        (utc(2026, 1, 1, 13), "12:00-14:00", "2026-02-01 12:00"),
        (utc(2026, 1, 1, 23), "22:00-04:00", "2026-02-01 00:00"),
        (utc(2026, 1, 1, 3), "22:00-04:00", "2026-01-31 22:00"),
        (utc(2026, 1, 1, 1), "22:00-04:00", "2026-01-31 02:00"),
        # A leap day.
        (utc(2028, 1, 30, 12), "00:00-06:00", "2028-03-01 00:00"),
    ],
)
def test_it_waits_for_its_window(last: datetime, window: str, due: str) -> None:
    assert local(BERLIN, next_due(plan(window=window), last=last, key="a")) == due


@pytest.mark.parametrize(
    ("zone", "last", "window", "due"),
    [
        # 02:00 to 03:00 is skipped: what would have begun then begins an hour later.
        (BERLIN, utc(2026, 3, 28, 12), "02:30-05:00", utc(2026, 3, 29, 1, 30)),
        (BERLIN, utc(2026, 3, 28, 12), "02:10-02:50", utc(2026, 3, 29, 1, 10)),
        # 02:00 to 03:00 comes twice: the first one counts.
        (BERLIN, utc(2026, 10, 24, 12), "02:30-05:00", utc(2026, 10, 25, 0, 30)),
        (LORD_HOWE, utc(2026, 10, 3, 3), "02:15-05:00", utc(2026, 10, 3, 15, 45)),
    ],
)
def test_clock_changes(zone: ZoneInfo, last: datetime, window: str, due: datetime) -> None:
    found = next_due(plan(every=HOUR, window=window, zone=zone), last=last, key="a")

    assert found == due


def test_jitter_is_the_same_for_every_worker_and_another_for_every_secret() -> None:
    jittered = plan(jitter=DAY)
    found = {key: next_due(jittered, last=utc(2026, 1, 1), key=key) for key in "abcdefgh"}

    assert found == {key: next_due(jittered, last=utc(2026, 1, 1), key=key) for key in "abcdefgh"}
    assert len(set(found.values())) == 8
    assert all(utc(2026, 1, 31) <= due < utc(2026, 2, 1) for due in found.values())


def test_overdue_is_said_an_hour_after_its_time_or_its_window() -> None:
    last = utc(2026, 1, 1, 12)

    assert not is_overdue(plan(), last=last, now=utc(2026, 1, 31, 12, 59), key="a")
    assert is_overdue(plan(), last=last, now=utc(2026, 1, 31, 13), key="a")
    windowed = plan(window="12:00-14:00")
    assert not is_overdue(windowed, last=last, now=utc(2026, 1, 31, 13, 59), key="a")
    assert is_overdue(windowed, last=last, now=utc(2026, 1, 31, 14), key="a")


def ticks(begin: datetime, end: datetime, dice: random.Random) -> Iterator[datetime]:
    """Of several schedulers: some lost, some doubled, some late, and an outage of weeks."""
    outage = begin + timedelta(days=dice.uniform(50, 60))
    now = begin
    while now < end:
        now += timedelta(minutes=dice.choice([5, 5, 5, 10, 20]))
        if outage < now < outage + 40 * DAY:
            continue
        for _ in range(dice.choice([0, 1, 1, 2])):
            yield now


def rotations(schedule: Schedule, moments: Iterator[datetime], last: datetime) -> list[datetime]:
    """When they began, each of them ending after a quarter of an hour."""
    begun = []
    for now in moments:
        # One that is open keeps another from beginning.
        if now >= last and is_due(schedule, last=last, now=now, key="orders"):
            begun.append(now)
            last = now + 15 * MINUTE
    return begun


@pytest.mark.parametrize("zone", [BERLIN, LORD_HOWE])
@pytest.mark.parametrize(
    ("window", "jitter"), [(None, None), ("22:00-04:00", None), ("01:30-03:00", 6 * HOUR)]
)
def test_months_of_ticks(zone: ZoneInfo, window: str | None, jitter: timedelta | None) -> None:
    schedule = plan(7 * DAY, window, jitter, zone)
    begin = utc(2026, 2, 1)
    found = rotations(schedule, ticks(begin, begin + 300 * DAY, random.Random(7)), begin)

    gaps = [later - earlier for earlier, later in itertools.pairwise(found)]
    assert min(gaps) >= 7 * DAY
    # One catch-up after the outage, and not one for each week of it.
    assert sum(gap > 20 * DAY for gap in gaps) == 1
    assert sorted(gaps)[-2] < 9 * DAY
    assert len(found) >= 260 // 9
    if window:
        hours = {moment.astimezone(zone).hour for moment in found}
        assert hours <= ({22, 23, 0, 1, 2, 3} if window.startswith("22") else {1, 2, 3})


INSTANTS = st.integers(0, 6 * 365 * 24 * 3600).map(
    lambda seconds: utc(2024, 1, 1) + timedelta(seconds=seconds)
)
CLOCKS = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda t: f"{t[0]:02}:{t[1]:02}")
WINDOWS = st.tuples(CLOCKS, CLOCKS).filter(lambda pair: pair[0] != pair[1]).map("-".join)


@given(
    INSTANTS,
    st.none() | WINDOWS,
    st.none() | st.timedeltas(MINUTE, 40 * DAY),
    st.timedeltas(MINUTE, 100 * DAY),
    st.sampled_from([BERLIN, LORD_HOWE, ZoneInfo("UTC")]),
)
def test_what_is_due_is_never_too_early_and_within_its_window(
    last: datetime,
    window: str | None,
    jitter: timedelta | None,
    every: timedelta,
    zone: ZoneInfo,
) -> None:
    schedule = plan(every, window, jitter, zone)

    due = next_due(schedule, last=last, key="a")

    assert due >= last + every
    assert due < last + every + (jitter or timedelta(0)) + 2 * DAY + 2 * HOUR
    assert is_due(schedule, last=last, now=due, key="a")
    assert not is_due(schedule, last=last, now=due - timedelta(seconds=1), key="a")
