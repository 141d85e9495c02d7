"""A measurement among many slow clients: memory for each, and what is left for a fast one."""

import contextlib
import json
import queue
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench import client
from bench.client import FaultError, Target
from bench.fleet import Fleet, Say
from bench.processes import Child, tcp_memory
from bench.results import SlowClients
from bench.scenarios import SCENARIOS
from bench.stacks.base import Running, Stack

# Seconds without one more client served, after which no more are waited for; and at most.
NO_PROGRESS = 6.0
MOST_PATIENCE = 60.0
FAST_SILENCE = 10.0
KERNEL_SLACK = 16 * 1024 * 1024


@dataclass(frozen=True)
class Herd:
    """The process of the slow clients."""

    child: Child
    _reports: "queue.SimpleQueue[dict[str, int]]"

    @classmethod
    @contextlib.contextmanager
    def gathered(cls, fleet: Fleet, target: Target, count: int) -> Iterator["Herd"]:
        """Lets `count` clients begin, and ends them all."""
        log = fleet.site.directory / "slow.log"
        child = Child.start([sys.executable, "-m", "bench.slow"], log=log, talk=True)
        try:
            order = {"port": target.port, "request": target.request().decode(), "count": count}
            assert child.process.stdin is not None
            # By the input and not as an argument: the request bears a token.
            child.process.stdin.write(json.dumps(order) + "\n")
            child.process.stdin.flush()
            reports: queue.SimpleQueue[dict[str, int]] = queue.SimpleQueue()
            threading.Thread(target=_collect, args=(child, reports), daemon=True).start()
            yield cls(child, reports)
        finally:
            child.stop()

    def latest(self) -> dict[str, int]:
        """What the clients have come to: waits for a report younger than this call."""
        while not self._reports.empty():
            self._reports.get()
        return self._next()

    def _next(self) -> dict[str, int]:
        try:
            return self._reports.get(timeout=client.SILENCE * 4)
        except queue.Empty:
            raise FaultError("the slow clients' own process failed") from None

    def wait(self, count: int) -> dict[str, int]:
        """Waits until all are served, or until no more seem to be."""
        start = progress = time.monotonic()
        best, report = -1, self._next()
        while report.get("served", 0) < count:
            now = time.monotonic()
            if report.get("served", 0) > best:
                best, progress = report.get("served", 0), now
            if now - progress > NO_PROGRESS or now - start > MOST_PATIENCE:
                break
            report = self._next()
        return report


def _collect(child: Child, reports: "queue.SimpleQueue[dict[str, int]]") -> None:
    assert child.process.stdout is not None
    # The pipe is closed under this thread when the measurement is over.
    with contextlib.suppress(ValueError):
        for line in child.process.stdout:
            reports.put(json.loads(line))


def measure(fleet: Fleet, stack: Stack, scenario: str, count: int, say: Say) -> SlowClients | None:
    """One stack, newly started; None where it cannot start."""
    say(f"{count} slow clients, {scenario}: {stack.name}")
    running = fleet.start(stack)
    if running is None:
        return None
    result = SlowClients(scenario, stack.name, count)
    try:
        _measure(fleet, running, result)
    except FaultError as exc:
        result.failure = str(exc)
    finally:
        fleet.stop(stack.name)
    return result


def _measure(fleet: Fleet, running: Running, result: SlowClients) -> None:
    plan, scenario, child = fleet.site.plan, SCENARIOS[result.scenario], running.child
    assert child is not None
    # What is imported and allocated once belongs to the idle stack.
    client.fetch(running.target(scenario, plan.fast))
    time.sleep(1)
    idle, idle_kernel = child.memory(), _quiet_tcp_memory()
    start = time.monotonic()
    with Herd.gathered(fleet, running.target(scenario, plan.slow), result.count) as herd:
        result.served = herd.wait(result.count).get("served", 0)
        result.first_bytes_after = time.monotonic() - start
        if result.served == result.count:
            time.sleep(plan.settle)
        result.outcomes = herd.latest()
        result.served = result.outcomes.get("served", 0)
        result.memory = child.memory() - idle
        result.kernel_memory = tcp_memory() - idle_kernel
        try:
            fast = client.fetch(running.target(scenario, plan.fast), silence=FAST_SILENCE)
            result.fast_rate = plan.fast / fast
        except FaultError as exc:
            result.fast_failure = str(exc)
        result.lost_meanwhile = result.served - herd.latest().get("served", 0)


def _quiet_tcp_memory(*, within: float = 10.0) -> int:
    """The kernel's TCP memory when what came before has gone from it."""
    deadline = time.monotonic() + within
    while (held := tcp_memory()) > KERNEL_SLACK and time.monotonic() < deadline:
        time.sleep(0.2)
    return held
