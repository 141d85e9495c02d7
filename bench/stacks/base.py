"""What a stack is: something that relays the origin."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.certificates import Certificates
from bench.client import Target
from bench.plan import Plan
from bench.processes import Child, listening
from bench.scenarios import Scenario


class CannotStartError(Exception):
    """A stack that cannot run here; the message says why, in a few words."""


@dataclass(frozen=True)
class Site:
    """Where and for what the stacks run."""

    directory: Path
    ports: dict[str, int]  # of the origin, by scheme
    certificates: Certificates
    plan: Plan

    def url(self, scenario: Scenario) -> str:
        """The origin's address, without a path."""
        scheme = "https" if scenario.tls else "http"
        return f"{scheme}://127.0.0.1:{self.ports[scenario.scheme]}"

    @property
    def trust(self) -> dict[str, str]:
        """The environment in which Python's libraries trust the origin."""
        authority = str(self.certificates.authority)
        return {"SSL_CERT_FILE": authority, "REQUESTS_CA_BUNDLE": authority}


@dataclass(frozen=True)
class Running:
    """A stack that is ready to be asked."""

    target: Callable[[Scenario, int], Target]
    child: Child | None = None
    # Processes of it besides.
    beside: Sequence[Child] = ()

    @property
    def children(self) -> Sequence[Child]:
        return (self.child, *self.beside) if self.child else ()

    def stop(self) -> None:
        """Ends every process of the stack."""
        for child in self.children:
            child.stop()


class Stack(ABC):
    """One contender."""

    name: ClassVar[str]
    about: ClassVar[str]
    # Whether it has processes whose processor time and memory are counted.
    relays: ClassVar[bool] = True
    # Of another stack, which differs in throughput alone.
    variant: ClassVar[bool] = False

    @abstractmethod
    def start(self, site: Site) -> Running:
        """Starts it anew. Raises `CannotStartError`."""


def ready(
    child: Child,
    port: int,
    target: Callable[[Scenario, int], Target],
    beside: Sequence[Child] = (),
) -> Running:
    """Waits for a process just started. Raises `CannotStartError` where it does not listen."""
    try:
        if listening(port, child):
            return Running(target, child, beside)
    except BaseException:
        child.stop()
        raise
    child.stop()
    raise CannotStartError("it did not listen within 30 s")
