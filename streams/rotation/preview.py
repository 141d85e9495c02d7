"""What a rotation would read and change, told beforehand. Reads AWS, and changes nothing."""

from streams.aws.failures import ControlError
from streams.models import Mode, Secret, SecretVersion
from streams.models.fields import UndecryptableError
from streams.rotation import announced, starting
from streams.rotation.engine import account, waits
from streams.rotation.environment import FunctionEnvironment
from streams.rotation.parts import parts
from streams.rotation.plan import ONLY_BACK, Parts, environment_of, found, plan
from streams.rotation.problems import RotationError
from streams.rotation.run import Forgotten, Run, Waits
from streams.rotation.steps import Step
from streams.rotation.versions import NoVersions

AT_ONCE = (
    "Nothing is waited for: until every execution environment and every deployment has changed, "
    "requests may be refused, for about {seconds:g} s."
)


def preview(secret: Secret, *, accept_gap: bool = False, emergency: bool = False) -> list[str]:
    """Lines for an operator. Raises `RotationError` for what would keep it from beginning."""
    mode = starting.mode_of(secret, accept_gap=True, emergency=emergency)
    current = secret.versions.filter(state="current").defer("value").first()
    in_use = current.alias if current else ""
    made = parts(secret, NoVersions(), account(), lambda: None, in_use=in_use)
    lines = [f"{secret.name}: {mode.label}"]
    if mode == Mode.GAP and not accept_gap:
        lines.append(starting.GAP)
    stored = isinstance(made, Parts) and made.store is not None
    if stored and mode in starting.REFUSES and not accept_gap:
        lines.append(starting.CONSUMERS)
    if mode == Mode.EMERGENCY:
        usual = waits()
        lines.append(AT_ONCE.format(seconds=max(usual.settle, usual.propagation)))
    else:
        lines.append(_told(waits(mode), stored=stored))
    steps = [step for step in plan(mode, made).steps if step.name not in ONLY_BACK]
    lines += [f"Reads: {one}" for one in announced.reads(made)]
    lines += [_step(number, step) for number, step in enumerate(steps, 1)]
    if current is None:
        return [*lines, f"The secret {secret.name} has no value yet."]
    return lines + _found(current, steps[0])


def _step(number: int, step: Step) -> str:
    calls = announced.changes(step)
    return f"Step {number}: {step.name}{f'. Calls: {calls}' if calls else ''}"


def repair(secret: Secret) -> list[str]:
    """The same of a repair.

    Raises `RotationError`, or a `ControlError`, where it would not begin.
    """
    starting.mode_of(secret, accept_gap=True)
    current = starting.current_version(secret)
    if secret.is_rotating():
        raise starting.NotNowError(f"A rotation of {secret.name} is under way.")
    made = parts(secret, NoVersions(), account(), lambda: None, in_use=current.alias)
    value, pause = current.value, waits(Mode.REPAIR)
    run = Run(value, value, Forgotten(), pause, lambda: 0.0, lambda _: None)
    # Where those who call it do not all meet one environment, nobody could say what is right.
    environment = environment_of(made)(run)
    lines = [f"{secret.name}: {Mode.REPAIR.label}"]
    lines += found(run, made)
    if any(environment.differences(value)):
        lines.append(_calls_of_function(environment))
    for gateway in made.gateways:
        if any(gateway.differences(run, value)):
            lines.append(
                f"Calls: UpdateIntegration of {gateway.name}, where {secret.header} alone changes, "
                "and CreateDeployment, unless the stage deploys by itself."
            )
            lines += [f"{gateway.name}: {notice}." for notice in gateway.notices()]
    return [*lines, _told(pause, stored=False)]


def _calls_of_function(environment: FunctionEnvironment) -> str:
    name, variable = environment.function.name, environment.variable
    also = f", PublishVersion, UpdateAlias of {environment.alias}" if environment.alias else ""
    return (
        f"Calls: UpdateFunctionConfiguration of {name}{also}. {variable} alone changes, with "
        f"{variable}_NEXT for what is found there, until that has ended."
    )


def _told(pause: Waits, *, stored: bool) -> str:
    kept = f", {pause.consumers:g} s for what consumers keep" if stored else ""
    return (
        f"Waits: {pause.settle:g} s for old execution environments, {pause.propagation:g} s for "
        f"each deployment, {pause.drain:g} s for requests under way{kept}."
    )


def _found(current: SecretVersion, preflight: Step) -> list[str]:
    lines: list[str] = []
    pause = waits(Mode.EMERGENCY)
    try:
        preflight.do(Run(current.value, "", Forgotten(), pause, lambda: 0.0, lines.append))
    except (RotationError, ControlError, UndecryptableError) as exc:
        lines.append(f"It would stop at {preflight.name}: {exc}")
    return lines
