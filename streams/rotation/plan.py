"""Which steps a rotation has, in which order.

Of 3,360 orders for a function that accepts two values six lose no request, all of this shape:
overlap, old environments gone, senders moved over, requests under way gone, retire.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from streams.models.rotations import Mode
from streams.rotation.environment import FunctionEnvironment
from streams.rotation.probing import Probe
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


@dataclass(frozen=True)
class Parts:
    """What the steps of one rotation work on."""

    environment: FunctionEnvironment
    gateways: list[GatewaySender]
    probe: Probe
    versions: Versions


@dataclass(frozen=True)
class Plan:
    """`last_to_undo` is the last step from which a rotation can still go back."""

    steps: Sequence[Step]
    last_to_undo: str

    def index(self, name: str) -> int:
        return [step.name for step in self.steps].index(name)

    def can_go_back_from(self, name: str) -> bool:
        return self.index(name) <= self.index(self.last_to_undo)


def plan(mode: Mode, parts: Parts) -> Plan:
    """The steps for one way of rotating."""
    begin: list[Step] = [
        Preflight(parts.environment, parts.gateways, parts.probe),
        Generate(parts.versions),
    ]
    switches = [SwitchGateway(gateway) for gateway in parts.gateways]
    portal = SwitchPortal(parts.versions)
    end: list[Step] = [ProveNew(parts.probe, parts.gateways), Finish(parts.versions)]
    admit, replace = Admit(parts.environment), Replace(parts.environment)
    retire = Retire(parts.environment)
    match mode:
        case Mode.OVERLAP:
            verify = Verify(parts.environment, switches)
            middle: list[Step] = [
                admit,
                ProveBoth(parts.probe),
                VerifyBack(switches),
                Drain("drain back", back=True),
                *switches,
                portal,
                Drain("drain"),
                verify,
                retire,
            ]
            return Plan([*begin, *middle, *end], verify.name)
        case Mode.EMERGENCY:
            return Plan([*begin, admit, *switches, portal, retire, *end], portal.name)
        case Mode.HOLD:
            # A request that knows of no rotation yet would not be held.
            known = Drain("drain before")
            return Plan([*begin, known, replace, portal, *end], "prove new")
        case Mode.GAP:
            at_once = Replace(parts.environment, "replace at once", settle=False)
            middle = [at_once, *switches, portal, replace]
            return Plan([*begin, *middle, *end], "prove new")
    assert_never(mode)
