"""The story of a rotation, step by step, for whoever watches it. Asks nobody but the database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from streams.models import Mode, Rotation, RotationEvent, RotationState
from streams.rotation.engine import account
from streams.rotation.parts import parts
from streams.rotation.plan import ONLY_BACK, Plan, plan
from streams.rotation.problems import UnfitError
from streams.rotation.versions import NoVersions

# At one step for longer than this, it is told what it waits for.
LONG = timedelta(minutes=10)


class StepState(StrEnum):
    """Of one step of one rotation. `AHEAD` is also what a rotation that went back never began."""

    DONE = "done"
    NOW = "now"
    STOPPED = "stopped"
    AHEAD = "ahead"
    UNDONE = "undone"


@dataclass
class Told:
    """One step: what was said at it, and when it was over (None: it is not, or was never begun)."""

    name: str
    state: StepState
    events: list[RotationEvent] = field(default_factory=list)

    @property
    def ended_at(self) -> datetime | None:
        over = self.state in {StepState.DONE, StepState.UNDONE}
        return self.events[-1].at if over and self.events else None


def timeline(rotation: Rotation) -> list[Told]:
    """All steps in their order, also those that are still ahead."""
    events = list(rotation.events.order_by("pk"))
    names = _names(rotation, events)
    here = names.index(rotation.step)
    told = [
        Told(name, StepState.AHEAD, [event for event in events if event.step == name])
        for name in names
    ]
    for number, step in enumerate(told):
        step.state = _state(rotation, step, number - here)
    return told


def _names(rotation: Rotation, events: Sequence[RotationEvent]) -> list[str]:
    """As planned; without a plan (the registry has changed since), as they have happened.

    What is for the way back alone is told of a rotation that comes by it, or has.
    """
    made = _plan(rotation)
    names = [step.name for step in made.steps] if made else []
    happened = list(dict.fromkeys([*(event.step for event in events), rotation.step]))
    told = names if set(happened) <= set(names) else happened
    ahead = told[: told.index(rotation.step)]
    theirs = {rotation.step, *(happened + ahead if rotation.back else ())}
    return [name for name in told if name not in ONLY_BACK or name in theirs]


def _plan(rotation: Rotation) -> Plan | None:
    try:
        made = parts(
            rotation.secret, NoVersions(), account(), _ask_nobody, in_use=rotation.old.alias
        )
    except UnfitError:
        return None
    return plan(Mode(rotation.mode), made)


def _ask_nobody() -> None:
    raise UnfitError("A page does not ask AWS.")


def _state(rotation: Rotation, step: Told, distance: int) -> StepState:
    """`distance` is how many steps it is behind the one at which the rotation stands."""
    begun = bool(step.events) or distance < 0
    if rotation.state == RotationState.COMPLETED:
        return StepState.DONE
    if step.name in ONLY_BACK and distance != 0:
        return StepState.DONE if distance > 0 else StepState.AHEAD
    # A repair that was stopped has taken nothing back.
    if rotation.state == RotationState.ROLLED_BACK and rotation.back:
        return StepState.UNDONE if begun else StepState.AHEAD
    if distance == 0:
        running = rotation.state == RotationState.RUNNING
        return StepState.NOW if running else StepState.STOPPED
    if distance < 0:
        return StepState.DONE
    return StepState.UNDONE if rotation.back and begun else StepState.AHEAD


def is_slow(rotation: Rotation, now: datetime) -> bool:
    """Whether an operator should be told what it waits for."""
    return rotation.finished_at is None and now - rotation.step_at > LONG
