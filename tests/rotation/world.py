"""A model of AWS and of our database around a rotation, with a fault at any call.

Values are single words. Time is a number that the test moves. What AWS serves lags behind what it
was told: old execution environments and old deployments go on for a while.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from streams.aws import failures
from streams.aws.functions import Alias, Configuration
from streams.aws.gateways import Mapped
from streams.models import Mode, RotationState
from streams.rotation import machine
from streams.rotation.environment import FunctionEnvironment
from streams.rotation.machine import Progress
from streams.rotation.plan import Parts, Plan, plan
from streams.rotation.probing import Probe, Verdict
from streams.rotation.run import Run, Waits
from streams.rotation.senders import GatewaySender

T = TypeVar("T")

# Seconds. What AWS takes at most is less than what the rotation waits for.
UPDATE = 2.0
OLD_ENVIRONMENTS = 9.0
OLD_DEPLOYMENTS = 4.0
UNDER_WAY = 15.0
LATE = 18.0
WAITS = Waits(settle=10, propagation=5, drain=20)
OTHERS = {"TABLE": "orders", "LOG_LEVEL": "info"}


class Fault(StrEnum):
    """What becomes of one call."""

    KILLED_BEFORE = "the worker is killed before it"
    KILLED_AFTER = "the worker is killed after it"
    REPLY_LOST = "it is done, and its answer is lost"
    NEVER_ARRIVED = "it is not done, and nothing is answered"
    ARRIVES_LATE = "nothing is answered, and it is done much later"
    THROTTLED = "it is refused for its rate"
    CONFLICT = "another change is under way"
    STALE = "something has changed since it was read"
    DENIED = "it is not allowed"


KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)
_REFUSALS: dict[Fault, Callable[[], failures.ControlError]] = {
    Fault.THROTTLED: lambda: failures.ThrottledError(retry_after=2.0),
    Fault.CONFLICT: failures.ConflictError,
    Fault.STALE: failures.StaleError,
    Fault.DENIED: failures.DeniedError,
}


class KilledError(BaseException):
    """SIGKILL: no code of the worker runs any more."""


class BrokenInvariantError(AssertionError):
    """A request may have been refused."""


@dataclass
class Lagging:
    """A value, and those from before that may still be met."""

    value: Any
    older: list[tuple[Any, float]] = field(default_factory=list)

    def change(self, value: Any, until: float) -> None:
        if value != self.value:
            self.older.append((self.value, until))
            self.value = value

    def met(self, now: float) -> list[Any]:
        self.older = [(value, until) for value, until in self.older if until > now]
        return [self.value, *(value for value, _ in self.older)]


@dataclass
class World:
    """Everything that a rotation may meet. `faults` are by the number of the call."""

    gateways: int = 2
    alias: bool = False
    tells: bool = True
    faults: Mapping[int, Fault] = field(default_factory=dict)
    overlap: bool = True
    now: float = 1000.0
    calls: list[str] = field(default_factory=list)
    mutations: list[int] = field(default_factory=list)
    late: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.latest = {**OTHERS, "KEY": "old"}
        self.revision = 1
        self.updated_at = 0.0
        self.versions = {"1": dict(self.latest)}
        self.alias_revision = 1
        self.alias_version = "1"
        self.serving = Lagging(("old",))
        self.saved = dict.fromkeys(range(self.gateways), "old")
        self.deployment = dict.fromkeys(range(self.gateways), 1)
        self.sending = {number: Lagging("old") for number in range(self.gateways)}
        self.portal = Lagging("old")
        # The database.
        self.stored = {"old"}
        self.current = "old"
        self.retired: set[str] = set()
        self.notes: dict[str, Any] = {}
        self.story: list[str] = []

    # Calls.

    def call(self, name: str, act: Callable[[], T], *, database: bool = False) -> T:
        """One call, with what is to happen to it."""
        fault = self.faults.get(len(self.calls))
        self.calls.append(name)
        if database and fault not in KILLS:
            fault = None
        if fault is Fault.KILLED_BEFORE:
            raise KilledError
        if fault in _REFUSALS:
            refusal = _REFUSALS[fault]()
            raise refusal
        if fault is Fault.NEVER_ARRIVED:
            raise failures.UnavailableError
        if fault is Fault.ARRIVES_LATE:
            self.late.append((self.now + LATE, act))
            raise failures.UnavailableError
        result = act()
        self.check()
        if fault is Fault.KILLED_AFTER:
            raise KilledError
        if fault is Fault.REPLY_LOST:
            raise failures.UnavailableError
        return result

    def mutate(self, name: str, act: Callable[[], T]) -> T:
        self.mutations.append(len(self.calls))
        return self.call(name, act)

    def wait(self, seconds: float) -> None:
        """Time passes, in small pieces, so that nothing is missed in between."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 1.0)
            due = [act for at, act in self.late if at <= self.now]
            self.late = [(at, act) for at, act in self.late if at > self.now]
            for act in due:
                try:
                    act()
                except failures.ControlError:
                    # AWS refuses it, and nobody listens.
                    continue
                self.check()
            self.check()

    # The invariant.

    def presented(self) -> set[str]:
        """Every value that some request may bear now."""
        values = set(self.portal.met(self.now))
        for sending in self.sending.values():
            values |= set(sending.met(self.now))
        return values

    def check(self) -> None:
        if not self.overlap:
            return
        for accepted in self.serving.met(self.now):
            for value in self.presented():
                if value not in accepted:
                    raise BrokenInvariantError(
                        f"{value!r} may meet a function that accepts {accepted}: {self.calls[-5:]}"
                    )

    # Lambda.

    def serve(self) -> None:
        variables = self.versions[self.alias_version] if self.alias else self.latest
        accepted = tuple(variables[name] for name in ("KEY", "KEY_NEXT") if name in variables)
        assert set(accepted) <= self.stored, "AWS holds a value that the database does not"
        assert OTHERS.items() <= variables.items(), "another variable was touched"
        self.serving.change(accepted, self.now + UPDATE + OLD_ENVIRONMENTS)

    def write(self, variables: Mapping[str, str], revision_id: str) -> None:
        if revision_id != str(self.revision):
            raise failures.StaleError
        if self.now < self.updated_at:
            raise failures.ConflictError
        self.latest = dict(variables)
        self.revision += 1
        self.updated_at = self.now + UPDATE
        if not self.alias:
            self.serve()

    def publish(self) -> str:
        for version, variables in self.versions.items():
            if variables == self.latest:
                return version
        self.versions[str(len(self.versions) + 1)] = dict(self.latest)
        return str(len(self.versions))

    def move_alias(self, version: str, revision_id: str) -> None:
        if revision_id != str(self.alias_revision):
            raise failures.StaleError
        self.alias_version, self.alias_revision = version, self.alias_revision + 1
        self.serve()

    # API Gateway.

    def deploy(self, number: int) -> str:
        self.deployment[number] += 1
        self.sending[number].change(self.saved[number], self.now + OLD_DEPLOYMENTS)
        return str(self.deployment[number])

    def save(self, number: int, value: str) -> None:
        assert value in self.stored, "AWS holds a value that the database does not"
        self.saved[number] = value


@dataclass(frozen=True)
class ModelFunction:
    world: World
    name: str = "orders"

    def read(self, qualifier: str = "") -> Configuration:
        return self.world.call("GetFunctionConfiguration", lambda: self._configuration(qualifier))

    def _configuration(self, qualifier: str) -> Configuration:
        world = self.world
        variables = world.versions[world.alias_version] if qualifier else world.latest
        return Configuration(
            variables=dict(variables),
            revision_id=str(world.revision),
            update_status="InProgress" if world.now < world.updated_at else "Successful",
            update_reason="",
            state="Active",
            code_sha256="code",
            version=world.alias_version if qualifier else "$LATEST",
        )

    def write(self, variables: Mapping[str, str], *, revision_id: str) -> Configuration:
        self.world.mutate(
            "UpdateFunctionConfiguration", lambda: self.world.write(variables, revision_id)
        )
        return self._configuration("")

    def publish(self, *, revision_id: str, code_sha256: str) -> Configuration:
        version = self.world.mutate("PublishVersion", self.world.publish)
        return replace(self._configuration(""), version=version, update_status="Successful")

    def alias(self, name: str) -> Alias:
        world = self.world
        return world.call(
            "GetAlias", lambda: Alias(world.alias_version, str(world.alias_revision), False)
        )

    def move_alias(self, name: str, *, version: str, revision_id: str) -> None:
        self.world.mutate("UpdateAlias", lambda: self.world.move_alias(version, revision_id))


@dataclass(frozen=True)
class ModelIntegration:
    """`world.tells` is whether AWS says what a stage serves."""

    world: World
    number: int

    def saved(self) -> Mapped:
        return self.world.call("GetIntegration", lambda: Mapped(self.world.saved[self.number]))

    def save(self, value: str) -> None:
        self.world.mutate("UpdateIntegration", lambda: self.world.save(self.number, value))

    def deployed(self) -> Mapped | None:
        if not self.world.tells:
            return None
        return self.world.call("GetExport", lambda: Mapped(self.world.sending[self.number].value))

    def deploy(self) -> str:
        return self.world.mutate("CreateDeployment", lambda: self.world.deploy(self.number))

    def deployment(self) -> str:
        return self.world.call("GetStage", lambda: str(self.world.deployment[self.number]))

    def canary(self) -> bool:
        return False

    def pending(self) -> list[str]:
        return []


@dataclass(frozen=True)
class ModelVersions:
    world: World

    def generate(self) -> str:
        self.world.call("generate", lambda: self.world.stored.add("new"), database=True)
        return "new"

    def use_new(self) -> None:
        self.world.call("use new", lambda: self._use("new"), database=True)

    def use_old(self) -> None:
        self.world.call("use old", lambda: self._use("old"), database=True)

    def retire(self, *, old: bool) -> None:
        value = "old" if old else "new"
        self.world.call("retire", lambda: self.world.retired.add(value), database=True)

    def _use(self, value: str) -> None:
        self.world.current = value
        # A request that has read the other one may still be about to send it.
        self.world.portal.change(value, self.world.now + UNDER_WAY)


@dataclass(frozen=True)
class ModelNotes:
    world: World

    def get(self, key: str) -> Any:
        return self.world.notes.get(key)

    def put(self, key: str, value: Any) -> None:
        notes = {**self.world.notes, key: value}
        self.world.call("note", lambda: self._store(notes), database=True)

    def drop(self, prefix: str) -> None:
        notes = {k: v for k, v in self.world.notes.items() if not k.startswith(prefix)}
        self.world.call("drop notes", lambda: self._store(notes), database=True)

    def _store(self, notes: dict[str, Any]) -> None:
        self.world.notes = notes


def _asked(world: World, url: str, fields: dict[str, str]) -> Verdict:
    """Accepted only if every environment does, whichever the request meets."""
    gateway = url.removeprefix("gateway ")
    values = world.sending[int(gateway)].met(world.now) if gateway != url else list(fields.values())
    refused = any(
        value not in accepted for accepted in world.serving.met(world.now) for value in values
    )
    return Verdict.REFUSED if refused else Verdict.ACCEPTED


@dataclass
class Rotating:
    """The rotation of a world: what a worker does, and another one after it was killed."""

    world: World
    mode: Mode = Mode.OVERLAP
    progress: Progress = field(default_factory=lambda: Progress("preflight"))
    turns: int = 0
    kills: int = 0

    def __post_init__(self) -> None:
        world = self.world
        parts = Parts(
            environment=FunctionEnvironment(
                ModelFunction(world), "KEY", "live" if world.alias else ""
            ),
            gateways=[
                GatewaySender(
                    f"gateway {number}",
                    f"gateway {number}",
                    ModelIntegration(world, number),
                    Probe(lambda url, fields: _asked(world, url, fields), f"gateway {number}"),
                )
                for number in range(world.gateways)
            ],
            probe=Probe(lambda url, fields: _asked(world, url, fields), "function", "x-secret"),
            versions=ModelVersions(world),
        )
        self.plan: Plan = plan(self.mode, parts)

    def turn(self) -> None:
        """One turn of a worker that has just come, as after a kill."""
        self.turns += 1
        new = "new" if "new" in self.world.stored else ""
        run = Run(
            "old", new, ModelNotes(self.world), WAITS, lambda: self.world.now,
            self.world.story.append,
        )  # fmt: skip
        try:
            self.progress = machine.advance(self.progress, self.plan, run)
        except KilledError:
            # Nothing is recorded, and another one comes when the lease has run out.
            self.kills += 1
            self.world.wait(3.0)
            return
        self.world.wait(self.progress.pause)

    @property
    def over(self) -> bool:
        return self.progress.state not in (RotationState.RUNNING, RotationState.STUCK)

    def to_the_end(self, *, roll_back_at: int | None = None, turns: int = 400) -> RotationState:
        """Turns until it is over; an operator rolls it back after so many turns."""
        for number in range(turns):
            if self.over:
                return self.progress.state
            if number == roll_back_at:
                turned = machine.turn_back(self.progress, self.plan)
                self.progress = turned or self.progress
                continue
            self.turn()
        raise AssertionError(f"not over after {turns} turns: {self.progress}")
