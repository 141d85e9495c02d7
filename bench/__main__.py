"""`python -m bench`: measures, shows the tables, and keeps them in `bench/results/`."""

import argparse
import contextlib
import dataclasses
import datetime
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from bench import aws, certificates, herd, machine, report
from bench.fleet import Fleet
from bench.measure import STREAMS, Course
from bench.plan import FULL, MEASURES, MIB, QUICK, Plan
from bench.processes import Child
from bench.results import Results
from bench.scenarios import SCENARIOS
from bench.stacks import STACKS
from bench.stacks.base import Site, Stack

RESULTS = Path(__file__).resolve().parent / "results"
# Where all four scenarios would take long and tell little.
FIRST_BYTE_SCENARIOS = ("plain-length", "tls-chunked")
SLOW_SCENARIOS = ("tls-chunked",)


def _choices(known: Iterable[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        chosen = [part.strip() for part in text.split(",") if part.strip()]
        if unknown := [part for part in chosen if part not in known]:
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(unknown)}; expected some of {', '.join(known)}"
            )
        return chosen

    return parse


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a minute or two, for a first impression")
    add("--only", type=_choices(MEASURES), metavar=",".join(MEASURES))
    add("--scenario", type=_choices(SCENARIOS), metavar=",".join(SCENARIOS))
    add("--stacks", type=_choices(STACKS), metavar=",".join(STACKS))
    add("--rounds", type=int, metavar="N")
    add("--size", type=int, metavar="MIB", help="of a transfer, all its streams together")
    add("--slow-counts", type=_counts, metavar="N,…", help="default: 200,1000")
    add("--settle", type=float, metavar="SECONDS", help="before memory is read")
    add("--gunicorn-threads", type=int, metavar="N", help="default: 8")
    add("--name", help="what the report is called; a partial run is kept only with a name")
    return parser.parse_args()


def _plan(arguments: argparse.Namespace) -> Plan:
    changes = {
        "rounds": arguments.rounds,
        "transfer": arguments.size and arguments.size * MIB,
        "slow_counts": arguments.slow_counts,
        "settle": arguments.settle,
        "measures": arguments.only and tuple(arguments.only),
        "scenarios": arguments.scenario and tuple(arguments.scenario),
        "gunicorn_threads": arguments.gunicorn_threads,
    }
    plan = QUICK if arguments.quick else FULL
    return dataclasses.replace(plan, **{name: to for name, to in changes.items() if to})


@contextlib.contextmanager
def _site(plan: Plan) -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        directory = Path(scratch)
        made = certificates.make(directory, "localhost")
        origin = Child.start(
            [sys.executable, "-m", "bench.origin", made.chain, made.key],
            log=directory / "origin.log",
            talk=True,
        )
        try:
            assert origin.process.stdout is not None
            yield Site(directory, json.loads(origin.process.stdout.readline()), made, plan)
        finally:
            origin.stop()


def _side_by_side(fleet: Fleet, console: Console, results: Results) -> None:
    plan = fleet.site.plan
    streams = [measure for measure in plan.measures if measure in STREAMS]
    if not streams and "first-byte" not in plan.measures:
        return
    stacks = [stack for stack in fleet.able if fleet.start(stack) is not None]
    course = Course(fleet, stacks, console.print)
    if streams:
        results.throughput = course.throughput(streams, plan.scenarios or tuple(SCENARIOS))
    if "first-byte" in plan.measures:
        results.first_byte = course.first_byte(plan.scenarios or FIRST_BYTE_SCENARIOS)
    for stack in stacks:
        fleet.stop(stack.name)


def _one_by_one(fleet: Fleet, console: Console, results: Results) -> None:
    plan = fleet.site.plan
    if "slow" not in plan.measures:
        return
    for scenario in plan.scenarios or SLOW_SCENARIOS:
        for count in plan.slow_counts:
            for stack in fleet.able:
                if stack.relays and not stack.variant:
                    measured = herd.measure(fleet, stack, scenario, count, console.print)
                    results.slow += [measured] if measured else []


def _run(console: Console, plan: Plan, stacks: Sequence[Stack]) -> Results:
    start = time.monotonic()
    results = Results(machine.facts(), dataclasses.asdict(plan))
    with _site(plan) as site, Fleet(site, stacks, console.print) as fleet:
        _side_by_side(fleet, console, results)
        _one_by_one(fleet, console, results)
        if "kinds" in plan.measures:
            results.kinds = aws.kinds(site, console.print)
        if "segments" in plan.measures:
            results.segments = aws.segments(site, console.print)
        results.skipped = fleet.skipped
    results.seconds = time.monotonic() - start
    return results


def _stem(arguments: argparse.Namespace) -> str | None:
    """What the report is called; None where none is to be kept."""
    partial = arguments.only or arguments.scenario or arguments.stacks
    name = arguments.name or (None if partial else "quick" if arguments.quick else "full")
    return name and f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}-{name}"


def _interrupt(number: int, frame: object) -> None:
    # A second one must not stop the ending of the processes.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """The exit status: 0, 1 where a stack failed, 130 on Ctrl-C."""
    arguments = _arguments()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _interrupt)
    console = Console()
    try:
        stacks = [STACKS[name] for name in arguments.stacks or STACKS]
        results = _run(console, _plan(arguments), stacks)
    except KeyboardInterrupt:
        console.print("interrupted: nothing is kept")
        return 130
    report.show(console, results)
    if stem := _stem(arguments):
        kept = report.save(RESULTS, stem, results)
        console.print(f"kept as bench/results/{kept.stem}.md and .json", markup=False)
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
