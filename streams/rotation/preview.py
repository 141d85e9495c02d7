"""What a rotation would read and change, told beforehand. Reads AWS, and changes nothing."""

from streams.aws.failures import ControlError
from streams.models import Mode, Secret
from streams.rotation import starting
from streams.rotation.engine import account, waits
from streams.rotation.parts import parts
from streams.rotation.plan import Parts, plan
from streams.rotation.problems import RotationError
from streams.rotation.run import Run


class _NoVersions:
    """A preview stores nothing."""

    def generate(self) -> str:
        raise NotImplementedError

    def use_new(self) -> None:
        raise NotImplementedError

    def use_old(self) -> None:
        raise NotImplementedError

    def retire(self, *, old: bool) -> None:
        raise NotImplementedError


class _NoNotes:
    def get(self, key: str) -> None:
        return None

    def put(self, key: str, value: object) -> None:
        raise NotImplementedError

    def drop(self, prefix: str) -> None:
        raise NotImplementedError


def preview(secret: Secret, *, accept_gap: bool = False) -> list[str]:
    """Lines for an operator. Raises `RotationError` for what would keep it from beginning."""
    mode = starting.mode_of(secret, accept_gap=True)
    made = parts(secret, _NoVersions(), account(), lambda: None)
    lines = [f"{secret.name}: {mode.label}"]
    if mode == Mode.GAP and not accept_gap:
        lines.append(starting.GAP)
    pause = waits(mode)
    lines.append(
        f"Waits: {pause.settle:g} s for old execution environments, {pause.propagation:g} s for "
        f"each deployment, {pause.drain:g} s for requests under way."
    )
    lines += [
        f"Step {number}: {step.name}" for number, step in enumerate(plan(mode, made).steps, 1)
    ]
    return lines + _found(secret, made)


def _found(secret: Secret, made: Parts) -> list[str]:
    current = secret.versions.filter(state="current").first()
    if current is None:
        return [f"The secret {secret.name} has no value yet."]
    lines: list[str] = []
    run = Run(current.value, "", _NoNotes(), waits(Mode.EMERGENCY), lambda: 0.0, lines.append)
    for step in plan(Mode.OVERLAP, made).steps[:1]:
        try:
            step.do(run)
        except (RotationError, ControlError) as exc:
            lines.append(f"It would stop at {step.name}: {exc}")
    return lines
