"""A model of AWS and of our database around a rotation, with a fault at any call.

Values are single words. Time is a number that the test moves. What AWS serves lags behind what it
was told: old execution environments and old deployments go on for a while.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from streams.aws import failures
from streams.aws.functions import PUBLIC, Alias, Configuration, Statement, UrlConfig
from streams.aws.gateways import Mapped
from streams.models import Mode, RotationState
from streams.rotation import hopeless, machine
from streams.rotation.environment import FunctionEnvironment
from streams.rotation.machine import Progress
from streams.rotation.pair import AliasPair
from streams.rotation.plan import PairParts, Parts, Plan, plan
from streams.rotation.probing import Probe, Verdict
from streams.rotation.problems import UnfitError
from streams.rotation.run import Run, Waits
from streams.rotation.senders import GatewaySender, Places
from streams.rotation.store import StoreSender
from tests.rotation import consumers
from tests.rotation.lagging import Lagging

T = TypeVar("T")

# Seconds. What AWS takes at most is less than what the rotation waits for.
UPDATE = 2.0
OLD_ENVIRONMENTS = 9.0
OLD_DEPLOYMENTS = 4.0
UNDER_WAY = 15.0
LATE = 18.0
WAITS = Waits(settle=10, propagation=5, drain=20, consumers=42)
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
class World:
    """Everything that a rotation may meet. `faults` are by the number of the call."""

    gateways: int = 2
    alias: bool = False
    # Two aliases of a function that accepts one value, `blue` in use.
    pair: bool = False
    # Where endpoints call the function.
    addresses: Sequence[str] = ("https://blue/orders",)
    tells: bool = True
    # Whether gateways take the value from a stage variable: `published`, or `saved` alone.
    variable: str = ""
    faults: Mapping[int, Fault] = field(default_factory=dict)
    overlap: bool = True
    # What is in Secrets Manager: nothing, `there`, or `missing` although it should be.
    store: str = ""
    now: float = 1000.0
    calls: list[str] = field(default_factory=list)
    mutations: list[int] = field(default_factory=list)
    late: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.latest = {**OTHERS, "KEY": "old"}
        self.revision = 1
        self.updated_at = 0.0
        self.versions = {"0": {**OTHERS, "KEY": "older"}, "1": dict(self.latest)}
        names = ["blue", "green"] if self.pair else ["live"] if self.alias else [""]
        self.aliases = {name: "0" if name == "green" else "1" for name in names}
        self.alias_revisions = dict.fromkeys(names, 1)
        self.urls = {name: UrlConfig(f"https://{name}/", "NONE", "RESPONSE_STREAM")
                     for name in names if name != "green"}  # fmt: skip
        self.permitted = dict.fromkeys(self.urls, len(PUBLIC))
        # By the address that is called: what its environments accept.
        self.serving = {
            name: Lagging((self.versions[self.aliases[name]]["KEY"],)) for name in names
        }
        # What a sender presents, and where.
        first = (names[0], "old")
        self.saved = dict.fromkeys(range(self.gateways), first)
        self.deployment = dict.fromkeys(range(self.gateways), 1)
        self.sending = {number: Lagging(first) for number in range(self.gateways)}
        self.published = set(self.saved) if self.variable == "published" else set()
        # Those that somebody has deleted.
        self.gone: set[int] = set()
        self.deleted = False
        self.portal = Lagging(first)
        self.places = {"old": names[0], "new": names[0]}
        self.stored_secret = (
            consumers.ModelStore(self, there=self.store == "there") if self.store else None
        )
        # The database.
        self.stored = {"old", "older"}
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
        try:
            return act()
        finally:
            # Whatever was answered.
            self.check()
            if fault is Fault.KILLED_AFTER:
                raise KilledError
            if fault is Fault.REPLY_LOST:
                raise failures.UnavailableError

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

    def presented(self) -> set[tuple[str, str]]:
        """Every value that some request may bear now, and where it goes."""
        values = set(self.portal.met(self.now))
        for sending in (self.sending[number] for number in self.sending.keys() - self.gone):
            values |= set(sending.met(self.now))
        if self.stored_secret:
            first = next(iter(self.serving))
            values |= {(first, value) for value in self.stored_secret.presented(self.now)}
        return values

    def check(self) -> None:
        # Nothing can accept anything where there is no function.
        if not self.overlap or self.deleted:
            return
        for place, value in self.presented():
            for accepted in self.serving[place].met(self.now):
                if value not in accepted:
                    raise BrokenInvariantError(
                        f"{value!r} may meet a function that accepts {accepted}: {self.calls[-5:]}"
                    )

    # Lambda.

    def delete_function(self) -> None:
        self.deleted = True

    def make_function(self, value: str) -> None:
        """Another one of that name, as an operator makes it."""
        self.deleted = False
        self.overlap = False
        self.latest = {**OTHERS, "KEY": value}
        self.revision += 1
        self.versions[str(len(self.versions))] = dict(self.latest)
        for name in self.aliases:
            self.aliases[name] = str(len(self.versions) - 1)
            self.serving[name] = Lagging((value,))

    def known(self) -> None:
        """Raises where the function was deleted."""
        if self.deleted:
            raise failures.MissingError("", hopeless.GONE)

    def serve(self, alias: str = "") -> None:
        variables = self.versions[self.aliases[alias]] if alias else self.latest
        accepted = tuple(variables[name] for name in ("KEY", "KEY_NEXT") if name in variables)
        assert set(accepted) <= self.stored, "AWS holds a value that the database does not"
        assert OTHERS.items() <= variables.items(), "another variable was touched"
        self.serving[alias].change(accepted, self.now + UPDATE + OLD_ENVIRONMENTS)

    def write(self, variables: Mapping[str, str], revision_id: str) -> None:
        self.known()
        if revision_id != str(self.revision):
            raise failures.StaleError
        if self.now < self.updated_at:
            raise failures.ConflictError
        self.latest = dict(variables)
        self.revision += 1
        self.updated_at = self.now + UPDATE
        if "" in self.serving:
            self.serve()

    def publish(self) -> str:
        self.known()
        # AWS compares with the newest version alone.
        newest = str(len(self.versions) - 1)
        if self.versions[newest] == self.latest:
            return newest
        self.versions[str(len(self.versions))] = dict(self.latest)
        return str(len(self.versions) - 1)

    def move_alias(self, name: str, version: str, revision_id: str) -> None:
        self.known()
        if revision_id != str(self.alias_revisions[name]):
            raise failures.StaleError
        self.aliases[name] = version
        self.alias_revisions[name] += 1
        self.serve(name)

    def add_url(self, name: str) -> None:
        self.known()
        if name in self.urls:
            raise failures.ConflictError
        self.urls[name] = UrlConfig(f"https://{name}/", "NONE", "RESPONSE_STREAM")
        self.permitted[name] = 0

    def permit(self, name: str) -> None:
        self.known()
        if self.permitted[name] == len(PUBLIC):
            raise failures.ConflictError
        self.permitted[name] += 1

    # API Gateway.

    def deploy(self, number: int) -> str:
        self.deployment[number] += 1
        if self.variable:
            self.published.add(number)
        self.sending[number].change(self.saved[number], self.now + OLD_DEPLOYMENTS)
        return str(self.deployment[number])

    def save(self, number: int, value: str, uri: str) -> None:
        assert value in self.stored, "AWS holds a value that the database does not"
        assert bool(uri) == self.pair, "address and value change together"
        place = uri.removeprefix("https://").partition("/")[0] or self.saved[number][0]
        self.saved[number] = (place, value)
        if number in self.published:
            # A variable takes effect without a deployment.
            self.sending[number].change(self.saved[number], self.now + OLD_DEPLOYMENTS)


@dataclass(frozen=True)
class ModelFunction:
    world: World
    name: str = "orders"

    def read(self, qualifier: str = "") -> Configuration:
        return self.world.call("GetFunctionConfiguration", lambda: self._configuration(qualifier))

    def _configuration(self, qualifier: str) -> Configuration:
        world = self.world
        world.known()
        variables = world.versions[world.aliases[qualifier]] if qualifier else world.latest
        return Configuration(
            variables=dict(variables),
            revision_id=str(world.revision),
            update_status="InProgress" if world.now < world.updated_at else "Successful",
            update_reason="",
            state="Active",
            code_sha256="code",
            version=world.aliases[qualifier] if qualifier else "$LATEST",
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
        return self.world.call("GetAlias", lambda: self._alias(name))

    def _alias(self, name: str) -> Alias:
        self.world.known()
        return Alias(self.world.aliases[name], str(self.world.alias_revisions[name]), False)

    def move_alias(self, name: str, *, version: str, revision_id: str) -> None:
        self.world.mutate("UpdateAlias", lambda: self.world.move_alias(name, version, revision_id))

    def url(self, qualifier: str = "") -> UrlConfig | None:
        # AWS has the same answer for no URL and for no function.
        urls = {} if self.world.deleted else self.world.urls
        return self.world.call("GetFunctionUrlConfig", lambda: urls.get(qualifier))

    def add_url(self, qualifier: str, *, like: UrlConfig) -> None:
        self.world.mutate("CreateFunctionUrlConfig", lambda: self.world.add_url(qualifier))

    def missing_statements(self, qualifier: str = "") -> list[Statement]:
        held = self.world.call("GetPolicy", lambda: self.world.permitted[qualifier])
        return list(PUBLIC[held:])

    def permit(self, statement: Statement, qualifier: str = "") -> None:
        self.world.mutate("AddPermission", lambda: self.world.permit(qualifier))


def _mapped(sent: tuple[str, str], variable: str = "") -> Mapped:
    place, value = sent
    return Mapped(value, variable, uri=f"https://{place}/export")


@dataclass(frozen=True)
class ModelIntegration:
    """`world.tells` is whether AWS says what a stage serves."""

    world: World
    number: int

    def saved(self) -> Mapped:
        return self.world.call("GetIntegration", self._saved)

    def _saved(self) -> Mapped:
        if self.number in self.world.gone:
            raise failures.MissingError
        return _mapped(self.world.saved[self.number], self.world.variable)

    def save(self, value: str, *, uri: str = "") -> None:
        self.world.mutate("UpdateIntegration", lambda: self.world.save(self.number, value, uri))

    def deployed(self) -> Mapped | None:
        if not self.world.tells:
            return None
        return self.world.call("GetExport", self._deployed)

    def _deployed(self) -> Mapped:
        variable = self.world.variable if self.number in self.world.published else ""
        return _mapped(self.world.sending[self.number].value, variable)

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

    def place(self, *, old: str, new: str, urls: Mapping[str, str]) -> None:
        assert set(urls) == {old, new}
        self.world.call("place", lambda: self._place({"old": old, "new": new}), database=True)

    def _place(self, places: dict[str, str]) -> None:
        self.world.places = places

    def give_up(self) -> None:
        both = self.world.stored & {"old", "new"}
        self.world.call("give up", lambda: self._give_up(both), database=True)

    def _give_up(self, both: set[str]) -> None:
        self.world.retired |= both - {self.world.current}

    def external_id(self, *, old: bool) -> str:
        return "id-old" if old else "id-new"

    def _use(self, value: str) -> None:
        self.world.current = value
        # A request that has read the other one may still be about to send it.
        sent = (self.world.places[value], value)
        self.world.portal.change(sent, self.world.now + UNDER_WAY)


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
    if gateway != url:
        if int(gateway) in world.gone:
            return Verdict.REFUSED
        sent = world.sending[int(gateway)].met(world.now)
    else:
        place = url.removeprefix("https://").rstrip("/")
        sent = [(place, value) for value in fields.values()]
    refused = world.deleted or any(
        world.permitted.get(place, 0) < len(PUBLIC) or value not in accepted
        for place, value in sent
        for accepted in world.serving[place].met(world.now)
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
        self.plan: Plan = plan(self.mode, self._pair() if self.world.pair else self._one())

    def _ask(self, url: str, fields: dict[str, str]) -> Verdict:
        return _asked(self.world, url, fields)

    def _senders(self, places: Places | None = None) -> list[GatewaySender]:
        return [
            GatewaySender(
                f"gateway {number}",
                f"gateway {number}",
                ModelIntegration(self.world, number),
                Probe(self._ask, f"gateway {number}"),
                places,
            )
            for number in range(self.world.gateways)
        ]

    def _one(self) -> Parts:
        alias = "live" if self.world.alias else ""
        versions, stored = ModelVersions(self.world), self.world.stored_secret
        return Parts(
            environment=FunctionEnvironment(ModelFunction(self.world), "KEY", alias),
            gateways=self._senders(),
            probes=[Probe(self._ask, f"https://{alias}/", "x-secret")],
            versions=versions,
            store=StoreSender(stored, versions) if stored else None,
        )

    def _pair(self) -> PairParts:
        pair = AliasPair(
            ModelFunction(self.world), "KEY", ("blue", "green"), self._ask, "x-secret", "",
            self.world.addresses,
        )  # fmt: skip
        return PairParts(pair, self._senders(pair), ModelVersions(self.world))

    def turn(self) -> None:
        """One turn of a worker that has just come, as after a kill."""
        self.turns += 1
        try:
            self.progress = machine.advance(self.progress, self.plan, self._run())
        except KilledError:
            # Nothing is recorded, and another one comes when the lease has run out.
            self.kills += 1
            self.world.wait(3.0)
            return
        self.world.wait(self.progress.pause)

    def _run(self) -> Run:
        old, new = "old", "new" if "new" in self.world.stored else ""
        if self.mode == Mode.REPAIR:
            old = new = self.world.current
        waits = Waits(0, 0, 0) if self.mode == Mode.EMERGENCY else WAITS
        return Run(
            old, new, ModelNotes(self.world), waits, lambda: self.world.now,
            self.world.story.append,
        )  # fmt: skip

    def give_up(self) -> None:
        """An operator's word: heard by a worker that has just come, as `engine` hears it."""
        if stopped := machine.stop(self.progress, keeps=self.mode == Mode.REPAIR):
            self.progress = stopped
            return
        origins = [Probe(self._ask, f"https://{next(iter(self.world.serving))}/", "x-secret")]
        try:
            reason = hopeless.reason(ModelFunction(self.world), origins, self._run())
            # One transaction.
            ModelVersions(self.world).give_up()
        except KilledError:
            self.kills += 1
        except (UnfitError, failures.ControlError) as exc:
            self.world.story.append(f"It cannot be given up: {exc}")
        else:
            self.progress = machine.give_up(self.progress, reason)

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
