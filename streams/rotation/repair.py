"""Drift: what differs from the current value where no rotation is under way, and its repair.

A repair is a rotation from the current value to itself. It overwrites what it finds. A function
that accepts two values goes on accepting the one that was found until all gateways are back.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.rotation.environment import FunctionEnvironment, Pair
from streams.rotation.probing import Probe
from streams.rotation.problems import UnfitError
from streams.rotation.run import Run, Wait
from streams.rotation.senders import GatewaySender
from streams.rotation.steps import check_current
from streams.rotation.store import StoreSender

# The environment that callers of the function meet. Raises `UnfitError` where they do not all meet
# one: nobody could say then what is right.
Called = Callable[[Run], FunctionEnvironment]


class Sender(Protocol):
    """A `GatewaySender` or a `StoreSender`."""

    def differences(self, run: Run, value: str) -> Iterator[str]: ...


def differences(run: Run, called: Called, senders: Sequence[Sender]) -> Iterator[str]:
    """In sentences, without values. `run` leads from the current value to itself."""
    try:
        environment = called(run)
    except UnfitError as exc:
        yield str(exc)
        return
    yield from environment.differences(run.old)
    for sender in senders:
        yield from sender.differences(run, run.old)


@dataclass(frozen=True)
class Look:
    """What differs is told before it is overwritten."""

    called: Called
    senders: Sequence[Sender]
    name: str = "preflight"

    def do(self, run: Run) -> Wait | None:
        self.called(run)
        for sentence in differences(run, self.called, self.senders):
            run.say(sentence)
        return None

    def undo(self, run: Run) -> Wait | None:
        return None


@dataclass(frozen=True)
class AdmitCurrent:
    """The function accepts the current value, and still the one that was found."""

    called: Called
    name: str = "admit"

    def do(self, run: Run) -> Wait | None:
        return self.called(run).admit_found(run)

    def undo(self, run: Run) -> Wait | None:
        return None


@dataclass(frozen=True)
class RestoreStore:
    """Who reads Secrets Manager gets the current value."""

    store: StoreSender
    name: str = "restore store"

    def do(self, run: Run) -> Wait | None:
        return self.store.restore(run)

    def undo(self, run: Run) -> Wait | None:
        return None


@dataclass(frozen=True)
class Restore:
    """The function accepts the current value alone."""

    called: Called
    name: str = "restore"

    def do(self, run: Run) -> Wait | None:
        return self.called(run).bring(run, Pair(run.old))

    def undo(self, run: Run) -> Wait | None:
        return None


@dataclass(frozen=True)
class ProveCurrent:
    """The current value is accepted wherever it comes from, and another one refused."""

    probes: Callable[[Run], Sequence[Probe]]
    gateways: Sequence[GatewaySender]
    name: str = "prove current"

    def do(self, run: Run) -> Wait | None:
        for probe in self.probes(run):
            if wait := check_current(run, probe):
                return wait
        for gateway in self.gateways:
            if wait := gateway.prove(run):
                return wait
        return None

    def undo(self, run: Run) -> Wait | None:
        return None
