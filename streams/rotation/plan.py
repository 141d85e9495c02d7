"""Which steps a rotation has, in which order.

Of 3,360 orders for a function that accepts two values six lose no request, all of this shape:
overlap, old environments gone, senders moved over, requests under way gone, retire.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from streams.models.rotations import Mode
from streams.rotation.environment import FunctionEnvironment, Pair
from streams.rotation.gap import TellGap, Watched
from streams.rotation.pair import (
    AliasPair,
    PairPreflight,
    Prepare,
    ProveIdle,
    ProvePair,
    RetireAlias,
)
from streams.rotation.probing import Probe
from streams.rotation.repair import (
    AdmitCurrent,
    Called,
    Look,
    ProveCurrent,
    Restore,
    RestoreStore,
    differences,
)
from streams.rotation.run import Run
from streams.rotation.senders import GatewaySender
from streams.rotation.steps import (
    Admit,
    Drain,
    Finish,
    Generate,
    Preflight,
    ProveBoth,
    ProveNew,
    Replace,
    Retire,
    Step,
    SwitchGateway,
    SwitchPortal,
    Verify,
    VerifyBack,
    Versions,
)
from streams.rotation.store import KeepInStore, StoreSender, SwitchStore

# What there is to do on the way back alone.
ONLY_BACK = frozenset({"verify back", "drain back"})


@dataclass(frozen=True)
class Parts:
    """What the steps of one rotation work on."""

    environment: FunctionEnvironment
    gateways: list[GatewaySender]
    probes: Sequence[Probe]
    versions: Versions
    # Where the value stands in Secrets Manager too.
    store: StoreSender | None = None


@dataclass(frozen=True)
class PairParts:
    """The same where the function has an alias for each of two values."""

    pair: AliasPair
    gateways: list[GatewaySender]
    versions: Versions


@dataclass(frozen=True)
class Plan:
    """`last_to_undo` is the last step from which a rotation can still go back.

    One that `keeps` what it has done ends where it stands when an operator has had enough of it.
    """

    steps: Sequence[Step]
    last_to_undo: str
    keeps: bool = False

    def index(self, name: str) -> int:
        return [step.name for step in self.steps].index(name)

    def after(self, name: str, *, back: bool) -> str | None:
        """The next step in this direction; None at the end."""
        names = [step.name for step in self.steps]
        index = names.index(name)
        ahead = reversed(names[:index]) if back else iter(names[index + 1 :])
        return next((one for one in ahead if back or one not in ONLY_BACK), None)

    def can_go_back_from(self, name: str) -> bool:
        return self.index(name) <= self.index(self.last_to_undo)


def plan(mode: Mode, parts: Parts | PairParts) -> Plan:
    """The steps for one way of rotating."""
    if mode == Mode.REPAIR:
        return _plan_of_repair(parts)
    if isinstance(parts, PairParts):
        return _plan_of_pair(parts, at_once=mode == Mode.EMERGENCY)
    return _plan_of_one(mode, parts)


def found(run: Run, parts: Parts | PairParts) -> Iterator[str]:
    """How AWS differs from the current value. `run` leads from that to itself."""
    return differences(run, environment_of(parts), _all_senders(parts))


def _all_senders(parts: Parts | PairParts) -> list[GatewaySender | StoreSender]:
    stored = [parts.store] if isinstance(parts, Parts) and parts.store else []
    return [*parts.gateways, *stored]


def environment_of(parts: Parts | PairParts) -> Called:
    """The environment that callers meet, once there is a run to find it in."""
    if isinstance(parts, PairParts):
        return partial(parts.pair.called, gateways=parts.gateways)
    return lambda _: parts.environment


def _plan_of_repair(parts: Parts | PairParts) -> Plan:
    called = environment_of(parts)
    switches = [SwitchGateway(gateway) for gateway in parts.gateways]
    steps: list[Step] = [Look(called, _all_senders(parts)), *switches]
    if isinstance(parts, PairParts):
        pair = parts.pair
        steps.insert(1, Restore(called))
        prove = ProveCurrent(lambda run: [pair.probe(run, run.old)], parts.gateways)
    else:
        probes = parts.probes
        steps.insert(1, AdmitCurrent(called))
        steps += [RestoreStore(parts.store)] if parts.store else []
        steps += [Drain("drain"), Restore(called)]
        prove = ProveCurrent(lambda _: probes, parts.gateways)
    # Each step brings AWS nearer to the current value: none of them wants undoing.
    return Plan([*steps, prove], steps[0].name, keeps=True)


def _plan_of_pair(parts: PairParts, *, at_once: bool) -> Plan:
    pair, versions = parts.pair, parts.versions
    switches = [SwitchGateway(gateway) for gateway in parts.gateways]
    prepare = Prepare(pair, versions)
    verify = Verify(switches, pair.holds_new, prepare.name)
    portal = SwitchPortal(versions)
    begin: list[Step] = [PairPreflight(pair, parts.gateways), Generate(versions), prepare]
    end: list[Step] = [RetireAlias(pair), ProvePair(pair, parts.gateways), Finish(versions)]
    if at_once:
        return Plan([*begin, *switches, portal, *end], portal.name)
    before: list[Step] = [ProveIdle(pair), VerifyBack(switches), Drain("drain back", back=True)]
    middle: list[Step] = [*before, *switches, portal, Drain("drain"), verify]
    return Plan([*begin, *middle, *end], verify.name)


def _plan_of_one(mode: Mode, parts: Parts) -> Plan:
    begin: list[Step] = [
        Preflight(parts.environment, parts.gateways, parts.probes, store=parts.store),
        Generate(parts.versions),
        *([KeepInStore(parts.store)] if parts.store else []),
    ]
    stored = [SwitchStore(parts.store)] if parts.store else []
    # Without an overlap the function takes the old value back after them.
    accepts_both = mode != Mode.GAP
    switches = [SwitchGateway(gateway, prove_back=accepts_both) for gateway in parts.gateways]
    portal = SwitchPortal(parts.versions)
    end: list[Step] = [ProveNew(parts.probes, parts.gateways), Finish(parts.versions)]
    admit, replace = Admit(parts.environment), Replace(parts.environment)
    retire = Retire(parts.environment)
    at_once = Replace(parts.environment, "replace at once", settle=False)

    def both(run: Run) -> bool:
        return parts.environment.has(Pair(run.old, run.new))

    match mode:
        case Mode.OVERLAP:
            # Who reads the store cannot be asked: last, when the others have proven the value.
            verify = Verify([*switches, *stored], both, admit.name)
            middle: list[Step] = [
                admit,
                ProveBoth(parts.probes),
                VerifyBack([*switches, *stored]),
                Drain("drain back", back=True),
                *switches,
                portal,
                *stored,
                Drain("drain"),
                verify,
                retire,
            ]
            return Plan([*begin, *middle, *end], verify.name)
        case Mode.EMERGENCY:
            senders: list[Step] = [*switches, portal, *stored]
            return Plan([*begin, admit, *senders, retire, *end], senders[-1].name)
        case Mode.HOLD:
            # A request that knows of no rotation yet would not be held.
            known = Drain("drain before")
            # Consumers are refused from here on, and helped by reading the new value at once.
            early: list[Step] = [at_once, *stored] if stored else []
            return Plan([*begin, known, *early, replace, portal, *end], "prove new")
        case Mode.GAP:
            open_for: list[Step] = [at_once, *stored, *switches, portal, replace]
            middle = [Watched(step, parts.gateways) for step in open_for]
            prove, finish = end
            told = TellGap(parts.gateways)
            return Plan([*begin, *middle, prove, told, finish], prove.name)
        case Mode.PAIR | Mode.REPAIR:
            raise ValueError(f"{mode} has a plan of its own.")
    assert_never(mode)
