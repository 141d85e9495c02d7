"""Does a repair, or tells beforehand what it would do.

One at a time, over all processes, and none beside a run that provisions. Each looks first whether
what is to be mended is still there: of two that come at once, one does it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from streams import audit
from streams.aws.failures import ControlError
from streams.doctor.checks import Finding
from streams.doctor.remedies import OfUrl, PutBack, RaiseTimeout, Remedy
from streams.doctor.repairs import functions, looking
from streams.doctor.repairs.problems import FailedError, NotNowError
from streams.models import Rotation, RotationState, Secret, User
from streams.models.fields import UndecryptableError
from streams.provisioning import engine as provisioning
from streams.provisioning import turn
from streams.provisioning.problems import BusyError, ProvisioningError
from streams.provisioning.problems import FailedError as TakenBackError
from streams.provisioning.site import Site
from streams.rotation import preview as rotations
from streams.rotation import starting
from streams.rotation.driving import drive
from streams.rotation.engine import account, waits
from streams.rotation.problems import RotationError

# Seconds for what a repair by rotation does besides its waits.
PATIENCE = 120.0


class State(StrEnum):
    """`STARTED`: workers do the rest."""

    MENDED = "mended"
    ALREADY = "already mended"
    STARTED = "started"


@dataclass(frozen=True)
class Outcome:
    """What came of it. `done` are sentences; `rotation` is the id of the one that does it."""

    state: State
    done: tuple[str, ...] = ()
    rotation: int | None = None


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each repair there is. What opens a URL comes before what needs it."""
    chosen: dict[Remedy, Finding] = {}
    for finding in findings:
        if finding.found.repair is not None:
            chosen.setdefault(finding.found.repair, finding)
    return sorted(chosen.values(), key=lambda one: isinstance(one.found.repair, PutBack))


def preview(finding: Finding) -> list[str]:
    """What would be done, in lines without values: changes, calls, and what else is touched.

    Reads AWS and changes nothing. Raises `NotNowError` where it would not begin.
    """
    remedy = _remedy(finding)
    try:
        if isinstance(remedy, PutBack):
            return rotations.repair(_secret(remedy))
        return _foretold(remedy, finding)
    except (ProvisioningError, RotationError, ControlError, UndecryptableError) as exc:
        raise NotNowError(str(exc)) from None


def do(
    finding: Finding,
    *,
    by: User | None,
    say: Callable[[str], None] = lambda _: None,
    wait: bool = True,
) -> Outcome:
    """Mends it, and looks whether it is gone. Takes seconds, or minutes where a value is put back.

    Without `wait` the latter is only started. Raises `NotNowError` where nothing was begun, and
    `FailedError` when what was done is taken back or named. `say` hears its story.
    """
    remedy = _remedy(finding)
    try:
        with turn.taken(_whose(remedy), say) as held:
            if not looking.check_as_shown(finding):
                return Outcome(State.ALREADY)
            _record("doctor.repair-begun", finding, by)
            if not isinstance(remedy, PutBack):
                made = _carried_out(remedy, finding, held, say)
                _record("doctor.repaired", finding, by, done=" ".join(made))
                return Outcome(State.MENDED, tuple(made))
            rotation = _started(remedy, by)
        # Its own lease keeps others off from here on.
        return _driven(rotation, finding, by, say) if wait else _begun(rotation)
    except BusyError as exc:
        raise NotNowError(str(exc)) from None
    except FailedError as exc:
        _record("doctor.repair-failed", finding, by, problem=str(exc), left=" ".join(exc.left))
        raise


def _remedy(finding: Finding) -> Remedy:
    if finding.found.repair is None:
        raise NotNowError(f"There is no safe repair of {finding.check.id} here: follow its advice.")
    return finding.found.repair


def _whose(remedy: Remedy) -> str:
    return remedy.secret if isinstance(remedy, PutBack) else remedy.place.function


def _secret(remedy: PutBack) -> Secret:
    secret = Secret.objects.filter(name=remedy.secret).first()
    if secret is None:
        raise NotNowError(f"There is no secret {remedy.secret} any more.")
    return secret


def _foretold(remedy: OfUrl | RaiseTimeout, finding: Finding) -> list[str]:
    lines: list[str] = []
    site = Site(functions.request(remedy), account(), lambda: None, lines.append)
    provisioning.foretell(functions.tasks(remedy, finding, site), site)
    return [*lines, *functions.calls(remedy, site), functions.besides(remedy)]


def _carried_out(
    remedy: OfUrl | RaiseTimeout, finding: Finding, held: turn.Turn, say: Callable[[str], None]
) -> list[str]:
    site = Site(functions.request(remedy), account(), held.renew, say)
    try:
        return provisioning.carry_out(functions.tasks(remedy, finding, site), site)
    except TakenBackError as exc:
        raise FailedError(str(exc), exc.undone, exc.left) from None
    except ProvisioningError as exc:
        left = "What was done until then is not taken back: look once more."
        raise FailedError(str(exc), left=[left]) from None


def _started(remedy: PutBack, by: User | None) -> Rotation:
    secret = _secret(remedy)
    try:
        # What would keep it from its end is found before it begins.
        rotations.repair(secret)
        return starting.repair(secret, by=by.get_username() if by else "manage.py doctor")
    except (RotationError, ControlError, UndecryptableError) as exc:
        raise FailedError(str(exc)) from None


def _begun(rotation: Rotation) -> Outcome:
    return Outcome(State.STARTED, rotation=rotation.pk)


def _driven(
    rotation: Rotation, finding: Finding, by: User | None, say: Callable[[str], None]
) -> Outcome:
    pause = waits()
    drive(rotation, say, seconds=PATIENCE + 2 * pause.settle + pause.propagation + pause.drain)
    if rotation.state != RotationState.COMPLETED:
        raise FailedError(rotation.problem or rotation.waiting, left=_left(rotation))
    try:
        left = looking.is_there(finding)
    except NotNowError as exc:
        raise FailedError(f"It was done. {exc}") from None
    if left:
        raise FailedError("It was done, and the same is still found.")
    done = tuple(rotation.events.order_by("pk").values_list("text", flat=True))
    _record("doctor.repaired", finding, by, rotation=str(rotation.pk))
    return Outcome(State.MENDED, done, rotation.pk)


def _left(rotation: Rotation) -> list[str]:
    if rotation.state not in {RotationState.RUNNING, RotationState.STUCK}:
        return []
    name = rotation.secret.name
    return [
        f"Rotation {rotation.pk} of {name} stays open at {rotation.step}: it is tried again by "
        f"itself, and at once by manage.py rotate {name} --resume. Until it has ended, values of "
        f"{name} are not compared."
    ]


def _record(action: str, finding: Finding, by: User | None, **details: str) -> None:
    remedy = _remedy(finding)
    told = {"finding": finding.check.id, "repair": remedy.sentence, **details}
    audit.record(
        action,
        by=by,
        what=finding.subject.name,
        details={name: text for name, text in told.items() if text},
    )
