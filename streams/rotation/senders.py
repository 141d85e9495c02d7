"""Those who present the value: gateways that inject it, and the portal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from streams.aws.failures import ControlError, MissingError
from streams.aws.gateways import Mapped
from streams.rotation.probing import Probe, Verdict
from streams.rotation.problems import DriftError, UnfitError
from streams.rotation.run import Run, Wait

P = ParamSpec("P")
R = TypeVar("R")

# Seconds between two looks at a deployment, and between two series of probes.
LOOK = 1.0
# Seconds from a change to its reading back.
AGAIN = 0.3

_WRONG = {
    "absent": "does not send the header",
    "unquoted": "has a value without its single quotes, and sends nothing",
    "quoted": "has a value within quotes, which an HTTP API sends along",
    "append": "appends to what the caller sends; it must overwrite",
    "dynamic": "takes the value from an expression",
}


class Integration(Protocol):
    """`aws.gateways.RestIntegration` or `HttpIntegration`, or a model of them."""

    def saved(self) -> Mapped: ...
    def save(self, value: str, *, uri: str = "") -> None: ...
    def deployed(self) -> Mapped | None: ...
    def deploy(self) -> str: ...
    def deployment(self) -> str: ...
    def canary(self) -> bool: ...
    def pending(self) -> list[str]: ...


class Places(Protocol):
    """Where each value is accepted, where that is not one address for both."""

    def uri(self, run: Run, uri: str, value: str) -> str:
        """`uri` as it must be for `value`. Raises `DriftError` where it leads elsewhere."""


def _naming(
    act: Callable[Concatenate["GatewaySender", P], R],
) -> Callable[Concatenate["GatewaySender", P], R]:
    """`act`, whose failures say which gateway they are about: a secret may have several."""

    @wraps(act)
    def naming(self: "GatewaySender", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return act(self, *args, **kwargs)
        except ControlError as exc:
            exc.concerns(self.name)
            raise

    return naming


@dataclass(frozen=True)
class GatewaySender:
    """One integration of one stage. `probe` is None where its URL is not known."""

    key: str
    name: str
    integration: Integration
    probe: Probe | None
    places: Places | None = None

    @_naming
    def check(self, run: Run) -> None:
        """Raises where its value is none of ours, or a deployment would not reach all requests."""
        saved = self.integration.saved()
        self._check_ours(run, saved)
        if saved.variable and self.places:
            raise UnfitError(
                f"{self.name} takes the value from a stage variable: it cannot change together "
                "with the address. Map the header to the value itself."
            )
        deployed = self.integration.deployed()
        if deployed is not None:
            self._check_ours(run, deployed)
        if self.integration.canary():
            raise UnfitError(
                f"{self.name} has a canary, whose requests would keep their value. "
                "Promote or remove it first."
            )

    def uris(self) -> list[str]:
        """Where it sends requests now, and will after its next deployment."""
        return [one.uri for one in self._mapped() if one is not None]

    @_naming
    def notices(self) -> list[str]:
        """What an operator should know before it is changed, in sentences without values."""
        told = []
        if variable := self.integration.saved().variable:
            told.append(
                f"the value stands in the stage variable {variable}, where everybody can read it "
                "who may read the stage. AWS advises against credentials in stage variables"
            )
            deployed = self.integration.deployed()
            if deployed is not None and deployed.variable == variable:
                return told
        pending = self.integration.pending()
        return told + [f"a deployment also publishes: {other}" for other in pending]

    @_naming
    def bring(self, run: Run, wanted: str, *, prove: bool = True) -> Wait | None:
        """One action towards a gateway that sends `wanted` with every request, and has for long.

        With `prove`, and is accepted.
        """
        saved = self.integration.saved()
        self._check_ours(run, saved)
        if not self._has(run, saved, wanted):
            run.notes.drop(f"{self.key} ")
            self.integration.save(wanted, uri=self._uri(run, saved, wanted))
            run.say(f"{self.name}: the mapping holds the {run.label(wanted)} value.")
            return Wait(AGAIN, "The mapping is read back.")
        # A variable takes effect at once, where the stage does serve the mapping that names it.
        if not self._is_deployed(run, wanted):
            run.notes.drop(f"{self.key} ")
            deployment = self.integration.deploy()
            run.notes.put(f"{self.key} {run.label(wanted)} deployed", deployment)
            run.say(f"{self.name}: deployed{f' as {deployment}' if deployment else ''}.")
            return Wait(AGAIN if deployment else LOOK, "The stage is being deployed.")
        spreads = run.since(
            f"{self.key} {run.label(wanted)} live",
            run.waits.propagation,
            f"{self.name}: the deployment spreads.",
        )
        return spreads or (self.prove(run) if prove else None)

    @_naming
    def sends(self, run: Run, wanted: str) -> bool:
        """Whether it sends `wanted`, as far as AWS tells."""
        saved = self.integration.saved()
        self._check_ours(run, saved)
        return self._has(run, saved, wanted) and self._is_deployed(run, wanted)

    def differences(self, run: Run, value: str) -> Iterator[str]:
        """How it differs from a gateway that sends `value`, in sentences."""
        for what, mapped in zip(("its mapping", "its deployed stage"), self._mapped(), strict=True):
            if mapped is None:
                continue
            if mapped.problem:
                yield f"{self.name}: {what} {_WRONG[mapped.problem]}."
            elif not self._has(run, mapped, value):
                yield f"{self.name}: {what} sends another than the current value."

    def prove(self, run: Run) -> Wait | None:
        """None where requests through it are accepted, several in a row."""
        if self.probe is None or self.probe.all_say(Verdict.ACCEPTED):
            return None
        return Wait(LOOK, f"{self.name}: requests through it are not all accepted yet.")

    def is_gone(self) -> bool:
        """Whether somebody has deleted it, as AWS says."""
        try:
            self.uris()
        except ControlError as exc:
            return isinstance(exc, MissingError)
        return False

    @_naming
    def _mapped(self) -> tuple[Mapped, Mapped | None]:
        return self.integration.saved(), self.integration.deployed()

    def _is_deployed(self, run: Run, wanted: str) -> bool:
        deployed = self.integration.deployed()
        if deployed is not None:
            return self._has(run, deployed, wanted)
        # AWS does not tell what the stage has: then it must still have what we deployed to it.
        noted = run.notes.get(f"{self.key} {run.label(wanted)} deployed")
        return noted is not None and noted in ("", self.integration.deployment())

    def _has(self, run: Run, mapped: Mapped, wanted: str) -> bool:
        return mapped.value == wanted and self._uri(run, mapped, wanted) in ("", mapped.uri)

    def _uri(self, run: Run, mapped: Mapped, wanted: str) -> str:
        """Where the value belongs; empty where it is all one."""
        return self.places.uri(run, mapped.uri, wanted) if self.places else ""

    def _check_ours(self, run: Run, mapped: Mapped) -> None:
        if mapped.problem == "absent" or run.repairs:
            return
        if mapped.problem:
            raise DriftError(f"{self.name} {_WRONG[mapped.problem]}.")
        if mapped.value not in {run.old, run.new}:
            raise DriftError(f"{self.name} sends a value that is none of this secret's.")
