"""The steps of a rotation. Each states a result: done twice, it does no harm.

A step reads first, acts at most once, and says what is still to be waited for; None is: reached.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.aws.failures import MissingError
from streams.rotation.environment import FunctionEnvironment, Pair
from streams.rotation.probing import Probe, Verdict, nonsense
from streams.rotation.problems import UnfitError
from streams.rotation.run import Run, Wait
from streams.rotation.senders import GatewaySender
from streams.rotation.store import StoreSender

# Seconds between two series of probes.
LOOK = 2.0


class Versions(Protocol):
    """The values in our own database, and which of them the portal sends."""

    def generate(self) -> str:
        """The new value, made and stored where it is not there yet."""

    def use_new(self) -> None:
        """The portal sends the new value, and knows the old one."""

    def use_old(self) -> None:
        """The other way round."""

    def retire(self, *, old: bool) -> None:
        """One of the two is no longer sent."""

    def place(self, *, old: str, new: str, urls: Mapping[str, str]) -> None:
        """Which alias accepts which of the two, and the function URL of each alias."""

    def external_id(self, *, old: bool) -> str:
        """What Secrets Manager calls one of the two; empty for a new one that there is not yet."""


class Step(Protocol):
    """One result. `undo` brings about that it might never have been wanted."""

    @property
    def name(self) -> str: ...
    def do(self, run: Run) -> Wait | None: ...
    def undo(self, run: Run) -> Wait | None: ...


class Switch(Step, Protocol):
    """A step that moves a sender over. `title` is what the story calls that sender."""

    @property
    def title(self) -> str: ...
    def sends(self, run: Run, wanted: str) -> bool: ...


@dataclass(frozen=True)
class Preflight:
    """Nothing is changed before everything is as it should be."""

    environment: FunctionEnvironment
    gateways: list[GatewaySender]
    probes: Sequence[Probe]
    name: str = "preflight"
    store: StoreSender | None = None

    def do(self, run: Run) -> Wait | None:
        self.environment.check(run)
        for gateway in self.gateways:
            gateway.check(run)
        found = self.store.check(run) if self.store else ""
        for probe in self.probes:
            if wait := check_current(run, probe):
                return wait
        tell_of_others(run, self.gateways)
        if found:
            run.say(found)
        return None

    def undo(self, run: Run) -> Wait | None:
        return None


def check_current(run: Run, probe: Probe) -> Wait | None:
    """None where the current value is accepted and no other one. Raises `UnfitError`."""
    current = probe.verdict(run.old)
    if current == Verdict.REFUSED:
        raise UnfitError(f"{probe.whom} refuses the current value.")
    if current == Verdict.UNSURE:
        return Wait(LOOK, f"{probe.whom} cannot be asked just now.")
    wait = refuses_others(probe)
    if wait is None:
        run.say(f"{probe.whom} accepts the current value and refuses another.")
    return wait


def refuses_others(probe: Probe) -> Wait | None:
    """None where a value that nobody knows is refused. Raises `UnfitError` where it is not."""
    verdict = probe.verdict(nonsense())
    if verdict == Verdict.ACCEPTED:
        raise UnfitError(f"{probe.whom} accepts any value: it is open to everyone.")
    if verdict == Verdict.UNSURE:
        return Wait(LOOK, f"{probe.whom} cannot be asked just now.")
    return None


def tell_of_others(run: Run, gateways: Sequence[GatewaySender]) -> None:
    """Says what an operator should know: what else a deployment publishes, and who may read."""
    for gateway in gateways:
        for sentence in gateway.notices():
            run.say(f"{gateway.name}: {sentence}.")


@dataclass(frozen=True)
class Generate:
    """The new value stands in our database before AWS hears of it."""

    versions: Versions
    name: str = "generate"

    def do(self, run: Run) -> Wait | None:
        run.new = self.versions.generate()
        return None

    def undo(self, run: Run) -> Wait | None:
        self.versions.retire(old=False)
        return None


@dataclass(frozen=True)
class Admit:
    """The function accepts both values, and no environment that knows only one is left."""

    environment: FunctionEnvironment
    name: str = "admit"

    def do(self, run: Run) -> Wait | None:
        return self.environment.bring(run, Pair(run.old, run.new))

    def undo(self, run: Run) -> Wait | None:
        return self.environment.take_back(run)


@dataclass(frozen=True)
class ProveBoth:
    """The function was asked, and does accept two values and no third one."""

    probes: Sequence[Probe]
    name: str = "prove both"

    def do(self, run: Run) -> Wait | None:
        for probe in self.probes:
            if wait := self._proven(run, probe):
                return wait
        return None

    @staticmethod
    def _proven(run: Run, probe: Probe) -> Wait | None:
        if not probe.all_say(Verdict.ACCEPTED, run.old):
            return Wait(LOOK, f"{probe.whom} does not accept the old value each time.")
        if not probe.all_say(Verdict.ACCEPTED, run.new):
            if probe.all_say(Verdict.REFUSED, run.new):
                raise UnfitError(
                    f"{probe.whom} refuses the new value: its handler does not accept two, or is "
                    "another than the function that this secret names. Use a handler that accepts "
                    "two, or say accepts: one; and give another function a secret of its own."
                )
            return Wait(LOOK, f"{probe.whom} does not accept the new value each time.")
        wait = refuses_others(probe)
        if wait is None:
            run.say(f"{probe.whom} accepts the old and the new value, and refuses another.")
        return wait

    def undo(self, run: Run) -> Wait | None:
        return None


@dataclass(frozen=True)
class Replace:
    """The function accepts the new value instead of the old one: there is no overlap."""

    environment: FunctionEnvironment
    name: str = "replace"
    # Whether to wait for old environments to end: not before the gateways were switched.
    settle: bool = True

    def do(self, run: Run) -> Wait | None:
        return self.environment.bring(run, Pair(run.new), settle=self.settle)

    def undo(self, run: Run) -> Wait | None:
        return self.environment.take_back(run)


@dataclass(frozen=True)
class SwitchGateway:
    """One gateway sends the new value."""

    gateway: GatewaySender
    # Whether the old one is accepted already when it goes back.
    prove_back: bool = True

    @property
    def name(self) -> str:
        return f"switch {self.gateway.key}"

    @property
    def title(self) -> str:
        return self.gateway.name

    def do(self, run: Run) -> Wait | None:
        return self.gateway.bring(run, run.new)

    def undo(self, run: Run) -> Wait | None:
        try:
            return self.gateway.bring(run, run.old, prove=self.prove_back)
        except MissingError:
            # Somebody has deleted it: with an alert on the way forward, and no hindrance back.
            run.say(f"{self.title} is there no more: nothing is sent through it.")
            return None

    def sends(self, run: Run, wanted: str) -> bool:
        return self.gateway.sends(run, wanted)


@dataclass(frozen=True)
class SwitchPortal:
    """The portal sends the new value. Each of its processes reads it for each request."""

    versions: Versions
    name: str = "switch portal"

    def do(self, run: Run) -> Wait | None:
        self.versions.use_new()
        run.say("The portal sends the new value.")
        return None

    def undo(self, run: Run) -> Wait | None:
        self.versions.use_old()
        run.say("The portal sends the old value.")
        return None


@dataclass(frozen=True)
class Drain:
    """No request under way may still present what is going away, and no late call either."""

    name: str
    back: bool = False

    def do(self, run: Run) -> Wait | None:
        return None if self.back else self._drained(run)

    def undo(self, run: Run) -> Wait | None:
        return self._drained(run) if self.back else None

    def _drained(self, run: Run) -> Wait | None:
        return run.since(self.name, run.waits.drain, "Requests under way come to an end.")


class MovedError(Exception):
    """A sender has left its value since: the steps from `step` on are to be done again."""

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


@dataclass(frozen=True)
class Verify:
    """Before the old value goes: is everything still as it was left?

    `holds` asks that of the function; where it is not so, the steps from `otherwise` on are done
    again.
    """

    switches: Sequence[Switch]
    holds: Callable[[Run], bool]
    otherwise: str
    name: str = "verify"

    def do(self, run: Run) -> Wait | None:
        for switch in self.switches:
            if not switch.sends(run, run.new):
                run.say(f"{switch.title} no longer sends the new value.")
                run.notes.drop("drain")
                raise MovedError(switch.name)
        if not self.holds(run):
            run.say("The function no longer accepts what it did.")
            run.notes.drop("drain")
            raise MovedError(self.otherwise)
        return None

    def undo(self, run: Run) -> Wait | None:
        return None


@dataclass(frozen=True)
class VerifyBack:
    """Before the new value goes again: did a call that was believed lost arrive after all?"""

    switches: Sequence[Switch]
    name: str = "verify back"

    def do(self, run: Run) -> Wait | None:
        return None

    def undo(self, run: Run) -> Wait | None:
        for switch in reversed(self.switches):
            if not self._is_back(run, switch):
                run.notes.drop("drain")
                raise MovedError(switch.name)
        return None

    @staticmethod
    def _is_back(run: Run, switch: Switch) -> bool:
        try:
            return switch.sends(run, run.old)
        except MissingError:
            return True


@dataclass(frozen=True)
class Retire:
    """The function accepts the new value alone."""

    environment: FunctionEnvironment
    name: str = "retire"

    def do(self, run: Run) -> Wait | None:
        return self.environment.bring(run, Pair(run.new))

    def undo(self, run: Run) -> Wait | None:
        raise NotImplementedError("From here a rotation goes only forward.")


@dataclass(frozen=True)
class ProveNew:
    """The old value is refused, and the new one accepted wherever it comes from."""

    probes: Sequence[Probe]
    gateways: list[GatewaySender]
    name: str = "prove new"

    def do(self, run: Run) -> Wait | None:
        for probe in self.probes:
            if not probe.all_say(Verdict.ACCEPTED, run.new):
                return Wait(LOOK, f"{probe.whom} does not accept the new value each time.")
            if not probe.all_say(Verdict.REFUSED, run.old):
                return Wait(LOOK, f"{probe.whom} does not refuse the old value each time.")
        if wait := prove_gateways(run, self.gateways):
            return wait
        return None

    def undo(self, run: Run) -> Wait | None:
        return None


def prove_gateways(run: Run, gateways: Sequence[GatewaySender]) -> Wait | None:
    """None, and the last line of the story, where the new value passes through all of them.

    There is no way back any more: what somebody has deleted since holds up nothing.
    """
    gone = []
    for gateway in gateways:
        if wait := gateway.prove(run):
            if not gateway.is_gone():
                return wait
            gone.append(gateway)
    for gateway in gone:
        run.say(f"{gateway.name} is there no more: nothing is sent through it.")
    passed = [gateway for gateway in gateways if gateway.probe and gateway not in gone]
    through = f" The new one passes through {len(passed)} of {len(gateways)} gateways."
    run.say(f"The function refuses the old value.{through if gateways else ''}")
    return None


@dataclass(frozen=True)
class Finish:
    """The old value is sent no more."""

    versions: Versions
    name: str = "finish"

    def do(self, run: Run) -> Wait | None:
        self.versions.retire(old=True)
        return None

    def undo(self, run: Run) -> Wait | None:
        raise NotImplementedError("From here a rotation goes only forward.")
