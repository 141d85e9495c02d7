"""What a rotation would read and change, told beforehand. Reads AWS, and changes nothing."""

from collections.abc import Mapping
from typing import Any

from streams.aws.failures import ControlError
from streams.models import Mode, Secret
from streams.rotation import starting
from streams.rotation.engine import account, waits
from streams.rotation.parts import parts
from streams.rotation.plan import plan
from streams.rotation.problems import RotationError
from streams.rotation.run import Run
from streams.rotation.steps import Step


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

    def place(self, *, old: str, new: str, urls: Mapping[str, str]) -> None:
        raise NotImplementedError


class _Forgotten:
    """What the preflight notes is forgotten with the preview."""

    def __init__(self) -> None:
        self._notes: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self._notes.get(key)

    def put(self, key: str, value: Any) -> None:
        self._notes[key] = value

    def drop(self, prefix: str) -> None:
        raise NotImplementedError


def preview(secret: Secret, *, accept_gap: bool = False) -> list[str]:
    """Lines for an operator. Raises `RotationError` for what would keep it from beginning."""
    mode = starting.mode_of(secret, accept_gap=True)
    current = secret.versions.filter(state="current").first()
    in_use = current.alias if current else ""
    made = parts(secret, _NoVersions(), account(), lambda: None, in_use=in_use)
    lines = [f"{secret.name}: {mode.label}"]
    if mode == Mode.GAP and not accept_gap:
        lines.append(starting.GAP)
    pause = waits(mode)
    lines.append(
        f"Waits: {pause.settle:g} s for old execution environments, {pause.propagation:g} s for "
        f"each deployment, {pause.drain:g} s for requests under way."
    )
    steps = plan(mode, made).steps
    lines += [f"Step {number}: {step.name}" for number, step in enumerate(steps, 1)]
    if current is None:
        return [*lines, f"The secret {secret.name} has no value yet."]
    return lines + _found(current.value, steps[0])


def _found(value: str, preflight: Step) -> list[str]:
    lines: list[str] = []
    run = Run(value, "", _Forgotten(), waits(Mode.EMERGENCY), lambda: 0.0, lines.append)
    try:
        preflight.do(run)
    except (RotationError, ControlError) as exc:
        lines.append(f"It would stop at {preflight.name}: {exc}")
    return lines
