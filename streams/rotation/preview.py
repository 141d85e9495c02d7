"""What a rotation would read and change, told beforehand. Reads AWS, and changes nothing."""

from streams.aws.failures import ControlError
from streams.models import Mode, Secret
from streams.rotation import starting
from streams.rotation.engine import account, waits
from streams.rotation.parts import parts
from streams.rotation.plan import Parts, plan
from streams.rotation.problems import RotationError
from streams.rotation.run import Forgotten, Run, Waits
from streams.rotation.steps import Step
from streams.rotation.versions import NoVersions


def preview(secret: Secret, *, accept_gap: bool = False) -> list[str]:
    """Lines for an operator. Raises `RotationError` for what would keep it from beginning."""
    mode = starting.mode_of(secret, accept_gap=True)
    current = secret.versions.filter(state="current").first()
    in_use = current.alias if current else ""
    made = parts(secret, NoVersions(), account(), lambda: None, in_use=in_use)
    lines = [f"{secret.name}: {mode.label}"]
    if mode == Mode.GAP and not accept_gap:
        lines.append(starting.GAP)
    stored = isinstance(made, Parts) and made.store is not None
    if stored and mode in starting.REFUSES and not accept_gap:
        lines.append(starting.CONSUMERS)
    lines.append(_told(waits(mode), stored=stored))
    steps = plan(mode, made).steps
    lines += [f"Step {number}: {step.name}" for number, step in enumerate(steps, 1)]
    if current is None:
        return [*lines, f"The secret {secret.name} has no value yet."]
    return lines + _found(current.value, steps[0])


def _told(pause: Waits, *, stored: bool) -> str:
    kept = f", {pause.consumers:g} s for what consumers keep" if stored else ""
    return (
        f"Waits: {pause.settle:g} s for old execution environments, {pause.propagation:g} s for "
        f"each deployment, {pause.drain:g} s for requests under way{kept}."
    )


def _found(value: str, preflight: Step) -> list[str]:
    lines: list[str] = []
    run = Run(value, "", Forgotten(), waits(Mode.EMERGENCY), lambda: 0.0, lines.append)
    try:
        preflight.do(run)
    except (RotationError, ControlError) as exc:
        lines.append(f"It would stop at {preflight.name}: {exc}")
    return lines
