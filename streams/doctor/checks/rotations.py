"""Rotations: whether one that is under way comes forward."""

import shlex
from collections.abc import Iterator

from streams.aws.functions import Configuration
from streams.aws.gateways import Mapped
from streams.doctor.checks.accounts import CREDENTIALS
from streams.doctor.checks.check import Found, Severity, SkippedError, check
from streams.doctor.checks.functions import GONE
from streams.doctor.facts import RotationFacts, Unread
from streams.models import RotationState
from streams.models.secrets import fingerprint

# Seconds in which a step should come forward, besides what it has to wait.
PATIENCE = 600.0
_STANDS = "The next rotation does not begin, and two values may stay valid for all that time."


@check(
    "rotation-stuck",
    Severity.ERROR,
    "No rotation needs help",
    consequence=_STANDS,
    follows_from=(*CREDENTIALS, *GONE, "gateway-missing", "stage-missing"),
)
def stuck(rotation: RotationFacts) -> Iterator[Found]:
    if rotation.state == RotationState.STUCK:
        yield Found(
            f"The {rotation.name} is stuck at the step {rotation.step}: {rotation.problem}",
            "Mend what it names, and have it tried again. Until its old value is retired, it can "
            "be taken back instead (--rollback). Where its function was deleted for good, give it "
            "up (--give-up).",
            evidence=tuple(_evidence(rotation)),
            cli=(_resume(rotation),),
        )


@check(
    "rotation-slow",
    Severity.ERROR,
    "A rotation comes forward",
    consequence=_STANDS,
    follows_from=(*CREDENTIALS, *GONE, "gateway-missing", "portal-broker", "portal-scheduler"),
)
def slow(rotation: RotationFacts) -> Iterator[Found]:
    if rotation.state == RotationState.STUCK:
        raise SkippedError("It is stuck, which is told.")
    if rotation.quiet > PATIENCE + rotation.pause:
        yield Found(
            f"The {rotation.name} has been at the step {rotation.step} for "
            f"{rotation.quiet / 60:.0f} minutes. It waits for: {rotation.waiting or 'a worker.'}",
            "See that a worker runs, and what it waits for. Have it tried again, or take it back "
            "(--rollback) while its old value is not retired.",
            evidence=tuple(_evidence(rotation)),
            cli=(_resume(rotation),),
        )


def _resume(rotation: RotationFacts) -> str:
    return shlex.join(["manage.py", "rotate", rotation.secret_name, "--resume"])


def _evidence(rotation: RotationFacts) -> Iterator[str]:
    """Its step, and which value is where."""
    yield f"step: {rotation.step}{', going back' if rotation.back else ''}"
    if rotation.waiting:
        yield f"waits for: {rotation.waiting}"
    yield f"the portal sends: {_known(rotation, rotation.sent)}"
    for function in rotation.functions:
        places = {"$LATEST": function.latest}
        if function.qualifier:
            places[f"alias {function.qualifier}"] = function.served
        for place, held in places.items():
            yield from _in_environment(
                rotation, f"{function.function} {place}", held, function.variable
            )
    for gateway in rotation.gateways:
        yield f"{gateway.name}, saved: {_mapped(rotation, gateway.saved)}"
        if gateway.deployed is not None:
            yield f"{gateway.name}, deployed: {_mapped(rotation, gateway.deployed)}"


def _in_environment(
    rotation: RotationFacts, place: str, held: Configuration | Unread, variable: str
) -> Iterator[str]:
    if isinstance(held, Unread):
        yield f"{place}: {held.reason}"
        return
    for name in (variable, f"{variable}_NEXT"):
        if name in held.variables:
            yield f"{place}, {name}: {_told(rotation, held.variables[name])}"


def _mapped(rotation: RotationFacts, mapped: Mapped | Unread) -> str:
    if isinstance(mapped, Unread):
        return mapped.reason
    return _told(rotation, mapped.value) if mapped.value else mapped.problem or "no value"


def _told(rotation: RotationFacts, value: str) -> str:
    return _known(rotation, fingerprint(value))


def _known(rotation: RotationFacts, mark: str) -> str:
    return f"{rotation.versions.get(mark, 'another value')} (fingerprint {mark})"
