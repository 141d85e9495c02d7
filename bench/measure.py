"""The measurements. Stacks take turns within each round, so that the machine's moods hit all."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from bench import client
from bench.client import FaultError, Target
from bench.fleet import Fleet, Say
from bench.results import FirstByte, Throughput
from bench.scenarios import SCENARIOS
from bench.stacks import REFERENCE
from bench.stacks.base import Stack

STREAMS = {"single": 1, "four": 4, "sixteen": 16}
# Where all scenarios would take long and tell little.
ONLY = {"sixteen": ("plain-length", "tls-chunked")}
WARM_UPS = 5


def turns(stacks: Sequence[Stack], number: int) -> list[Stack]:
    """The stacks, beginning with another one in each round."""
    first = number % len(stacks) if stacks else 0
    return [*stacks[first:], *stacks[:first]]


@dataclass(frozen=True)
class Course:
    """The measurements that need all stacks to run side by side."""

    fleet: Fleet
    stacks: Sequence[Stack]
    say: Say

    def throughput(self, measures: Sequence[str], scenarios: Sequence[str]) -> list[Throughput]:
        """Rates of one and of several streams, all rounds, after one that does not count."""
        cells = [
            Throughput(measure, scenario, stack.name)
            for measure, scenario, stack in itertools.product(measures, scenarios, self.stacks)
            if scenario in ONLY.get(measure, scenarios)
        ]
        self._check(cells)
        for number in range(1 + self.fleet.site.plan.rounds):
            self.say(f"round {number} of {self.fleet.site.plan.rounds}" if number else "warming up")
            for measure, scenario in itertools.product(measures, scenarios):
                here = {c.stack: c for c in cells if (c.measure, c.scenario) == (measure, scenario)}
                for stack in turns(self.stacks, number) if here else []:
                    self._one(here[stack.name], stack, number)
        _relate(cells)
        return cells

    def first_byte(self, scenarios: Sequence[str]) -> list[FirstByte]:
        """Times to the first byte, in blocks of requests that take turns."""
        cells = {
            (scenario, stack.name): FirstByte(scenario, stack.name)
            for scenario, stack in itertools.product(scenarios, self.stacks)
        }
        plan = self.fleet.site.plan
        blocks = 5
        self.say("first byte")
        for number, scenario in itertools.product(range(blocks), scenarios):
            for stack in turns(self.stacks, number):
                cell = cells[scenario, stack.name]
                if cell.failure:
                    continue
                try:
                    target = self._target(stack.name, scenario, plan.first_byte)
                    times = [
                        client.first_byte(target)
                        for _ in range(WARM_UPS + plan.first_byte_requests // blocks)
                    ]
                except FaultError as exc:
                    cell.failure = str(exc)
                    self.fleet.start(stack)
                else:
                    cell.times += times[WARM_UPS:]
        return list(cells.values())

    def _check(self, cells: Sequence[Throughput]) -> None:
        """One exact comparison for each stack and scenario, which also warms it up."""
        self.say("checking that every stack delivers what the origin sends")
        verdicts: dict[tuple[str, str], str | None] = {}
        stacks = {stack.name: stack for stack in self.stacks}
        for cell in cells:
            key = cell.stack, cell.scenario
            if key not in verdicts:
                size = self.fleet.site.plan.check
                verdicts[key] = None
                try:
                    client.check(self._target(cell.stack, cell.scenario, size))
                except FaultError as exc:
                    verdicts[key] = f"{exc} (when checked)"
                    self.fleet.start(stacks[cell.stack])
            cell.failure = verdicts[key]

    def _one(self, cell: Throughput, stack: Stack, number: int) -> None:
        if cell.failure:
            return
        streams = STREAMS[cell.measure]
        size = self.fleet.site.plan.transfer // streams
        before = self.fleet.cpu(stack.name)
        try:
            targets = [self._target(stack.name, cell.scenario, size)] * streams
            seconds = client.fetch(targets[0]) if streams == 1 else client.fetch_together(targets)
        except FaultError as exc:
            cell.failure = f"{exc} (round {number})"
            self.say(f"[red]{stack.name}, {cell.measure}, {cell.scenario}: {cell.failure}[/]")
            # A new start, so that one failure does not become the next measurement's.
            self.fleet.start(stack)
            return
        # In the first, stacks come to know the files: the portal alone sends a version it has not
        # sent before, and digests it. What that costs is what `fresh` shows.
        if number:
            cell.cpu_seconds += self.fleet.cpu(stack.name) - before
            cell.relayed += size * streams
            cell.rates[number] = size * streams / seconds

    def _target(self, stack: str, scenario: str, size: int) -> Target:
        running = self.fleet.get(stack)
        if running is None:
            raise FaultError("it failed before and could not be started again")
        return running.target(SCENARIOS[scenario], size)


def _relate(cells: Sequence[Throughput]) -> None:
    """Ratios within each round: what slows the machine for a while slows both."""
    references = {(c.measure, c.scenario): c for c in cells if c.stack == REFERENCE}
    for cell in cells:
        reference = references.get((cell.measure, cell.scenario))
        if reference is None or reference.failure:
            continue
        cell.ratios = {
            number: rate / reference.rates[number] for number, rate in cell.rates.items()
        }
