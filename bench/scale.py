"""How much one portal carries: formulas, a simulation beside them, and one measurement.

    python -m bench.scale              the tables of docs/scale.md
    python -m bench.scale --database   how many records a second DATABASE_URL takes (after migrate)

The formulas are for a mean; the simulation has downloads come at random, of random sizes, and share
what the replicas carry. It says how far the formulas hold, and where they cease to.
"""

import argparse
import math
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

MB = 1_000_000
MIB = 1 << 20
KIB = 1 << 10

# Measured by `make bench` (bench/results/2026-11-27-full.md), where the origin and the clients had
# a share of the same two cores.
CPU_KNOWN = 2.19  # s/GB, four streams at once, TLS, chunks: a version that was sent before
CPU_FRESH = 3.32  # s/GB, the same, with SHA-256
MEMORY = 237 * KIB  # of the process, for each of 1,000 slow downloads
SLOWEST = 1000  # downloads that one process has been seen to serve at a time
# The same, against the stand-in for AWS: 1,000 MB in 191 segments, eight at a time, took 5.8 s.
SEGMENT_LASTS = 5.8 * 8 / 191

# Of Lambda, for one response that streams (docs/choosing.md has the sources).
BURST = 6 * MIB
RATE = 2 * MIB
LIMIT = 200 * MIB
# Of SPILLWAY_SEGMENT_MEMORY, for each process.
SEGMENT_MEMORY = 512 * MIB
# Of a core, that a process should have to do on average: pages, sign-ins and bursts need the rest.
BUSY = 0.7


@dataclass(frozen=True)
class Load:
    """Downloads that begin in a second, their mean size in bytes, what a client takes in a second.

    `fresh` is the share of bytes whose version a process sends for the first time.
    """

    name: str
    arrivals: float
    size: float
    client: float
    fresh: float = 0.1
    # Segments at a time, and bytes of each; none: one stream.
    parallel: int = 0
    segment: int = 5 * MIB


LOADS = (
    Load("an office", arrivals=0.02, size=150 * MB, client=5 * MB),
    Load("a company", arrivals=1, size=150 * MB, client=5 * MB),
    Load("a company, in segments", arrivals=1, size=150 * MB, client=5 * MB, parallel=8),
    Load("its month's end", arrivals=4, size=500 * MB, client=5 * MB, parallel=8),
    Load("many slow clients", arrivals=4, size=150 * MB, client=0.5 * MB),
)


def carries(load: Load) -> float:
    """Bytes a second of one process on a core of its own."""
    cost = CPU_FRESH * load.fresh + CPU_KNOWN * (1 - load.fresh)
    return 1000 * MB / cost


def lasts(load: Load) -> float:
    """Seconds of a download that nothing slows but its client and, in one stream, Lambda."""
    by_client = load.size / load.client
    if load.parallel:
        return by_client
    return max(by_client, max(0.0, load.size - BURST) / RATE)


def at_a_time(load: Load) -> float:
    """Downloads that run at a time: how many come, times how long each lasts (Little's law)."""
    return load.arrivals * lasts(load)


def cores(load: Load) -> float:
    return load.arrivals * load.size / carries(load)


def processes(load: Load) -> int:
    """So that none has more than `BUSY` to do, nor more downloads than one was seen to serve."""
    return max(math.ceil(cores(load) / BUSY), math.ceil(at_a_time(load) / SLOWEST))


def memory(load: Load) -> float:
    """Bytes at most, beside what an idle process takes."""
    ahead = at_a_time(load) * load.segment * (load.parallel - 1) if load.parallel else 0
    return at_a_time(load) * MEMORY + min(ahead, processes(load) * SEGMENT_MEMORY)


def records(load: Load) -> float:
    """Rows that are written in a second: each running download tells how far it is, and its begin
    and end are a record each, and an entry of the audit log each."""
    return at_a_time(load) + 5 * load.arrivals


def functions(load: Load) -> float:
    """Invocations that run at a time: one for each download, or one for each segment on its way."""
    if not load.parallel:
        return at_a_time(load)
    return load.arrivals * load.size / load.segment * SEGMENT_LASTS


@dataclass
class Running:
    """A download of the simulation: its bytes, those that are left, and when it began."""

    size: float
    left: float
    begun: float


@dataclass(frozen=True)
class Simulated:
    """What was seen: downloads at a time, and how often as long as alone they took."""

    mean: float
    most: float  # the 99th percentile
    slower: float


def simulate(load: Load, count: int, *, hours: float = 2, step: float = 1) -> Simulated:
    """Downloads come at random (Poisson), of exponential sizes, and share `count` processes.

    The first quarter of the time is for the portal to fill, and not counted.
    """
    chance = random.Random(1)
    capacity = carries(load) * count
    # What a download takes when it is alone: its mean speed.
    speed = load.size / lasts(load)
    running: list[Running] = []
    counts: list[int] = []
    took = alone = 0.0
    now, following, end = 0.0, chance.expovariate(load.arrivals), hours * 3600
    while now < end:
        while following < now + step:
            size = chance.expovariate(1 / load.size)
            running.append(Running(size, size, following))
            following += chance.expovariate(load.arrivals)
        share = min(speed, capacity / len(running)) * step if running else 0
        for one in running:
            one.left -= share
        now += step
        for one in running:
            if one.left <= 0 and now > end / 4:
                took += now - one.begun
                alone += one.size / speed
        running = [one for one in running if one.left > 0]
        if now > end / 4:
            counts.append(len(running))
    counts.sort()
    return Simulated(
        mean=sum(counts) / len(counts),
        most=counts[int(len(counts) * 0.99)],
        slower=took / alone,
    )


def tables() -> str:
    """As they stand in docs/scale.md."""
    return "\n".join([*_needed(), "", *_held(), ""])


def _needed() -> Iterator[str]:
    yield from _head(
        "load", "downloads at a time", "MB a second", "cores", "processes", "MiB of memory",
        "rows a second", "invocations at a time",
    )  # fmt: skip
    for load in LOADS:
        yield _row(
            load.name, f"{at_a_time(load):,.0f}", f"{load.arrivals * load.size / MB:,.0f}",
            f"{cores(load):.2f}", f"{processes(load)}", f"{memory(load) / MIB:,.0f}",
            f"{records(load):,.0f}", f"{functions(load):,.0f}",
        )  # fmt: skip


def _held() -> Iterator[str]:
    yield from _head(
        "load", "processes", "in use", "at a time, computed", "simulated", "99th percentile",
        "times as long as alone",
    )  # fmt: skip
    company, busy = LOADS[1], LOADS[3]
    for load, count in ((company, 1), (busy, 7), (busy, 6), (busy, 5), (busy, 4)):
        seen = simulate(load, count)
        yield _row(
            f"{load.name}, {load.arrivals:g} a second", f"{count}", f"{cores(load) / count:.0%}",
            f"{at_a_time(load):,.0f}", f"{seen.mean:,.0f}", f"{seen.most:,.0f}",
            f"{seen.slower:.2f}",
        )  # fmt: skip


def _head(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield _row("---", *["---:"] * (len(names) - 1))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def database(rows: int = 1000, rounds: int = 10) -> str:
    """How long the meter takes to write what it writes each second of running downloads."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    import django

    django.setup()
    from django.db import connection

    from streams.delivery import meter
    from streams.models import Download, Figures

    made = Download.objects.bulk_create(
        [Download(slug="scale", username="scale", state="running") for _ in range(rows)]
    )
    try:
        took = []
        for number in range(rounds):
            for one in made:
                one.sent = number * MIB
            begun = time.perf_counter()
            meter._write(meter.Batch((), made, (), {}, (), Figures(), trusted=False))
            took.append(time.perf_counter() - begun)
    finally:
        Download.objects.filter(pk__in=[one.pk for one in made]).delete()
    took.sort()
    middle = took[len(took) // 2]
    return (
        f"{connection.vendor}: {rows} running downloads are told of in {middle * 1000:.0f} ms "
        f"({took[0] * 1000:.0f} to {took[-1] * 1000:.0f}): {rows / middle:,.0f} rows a second"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--database", action="store_true", help="measure the configured one")
    told = database() if parser.parse_args().database else tables()
    sys.stdout.write(f"{told.rstrip()}\n")


if __name__ == "__main__":
    main()
