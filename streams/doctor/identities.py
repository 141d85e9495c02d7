"""Asks AWS whom it takes this portal for, and what that user or role may do: simulated only."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from streams.aws.account import Account, default_region
from streams.aws.calls import Calls
from streams.aws.identity import Identity, Simulated, partition
from streams.doctor.facts import Decision, IdentityFacts, Permission, Unread
from streams.doctor.needs import Owner, Question, Registered, questions
from streams.models import Endpoint, Gateway, SecretFunction
from streams.rotation import pace

T = TypeVar("T")

# AWS does not say how often it simulates: careful, rather than known.
RATE = pace.Rate(5, 5)
# Resources in one question.
MOST = 20
# IAM is one for all regions. This signs for it where no region is set.
_REGION = "us-east-1"


class Read(Protocol):
    """What a call answers, or why it does not."""

    def __call__(self, call: Callable[[], T]) -> T | Unread: ...


def facts(
    role: str, registered: Registered, account: Account, read: Read, guard: Callable[[], None]
) -> IdentityFacts:
    """Of the portal's own identity, or of a role that it assumes."""
    region = _region(registered)

    def before(_: str) -> None:
        pace.take(f"{role or 'own'} iam", RATE)
        guard()

    identity = Identity(Calls(account, region, role, before))
    known: dict[str, Any] = {
        "name": f"role {role}" if role else "the portal's own identity",
        "about": frozenset({f"identity {role or 'own'}"}),
    }
    arn = read(identity.arn)
    if isinstance(arn, Unread):
        return IdentityFacts(**known, arn=arn, permissions=arn)
    if arn.endswith(":root"):
        why = Unread("The root user may do everything, and cannot be simulated.")
        return IdentityFacts(**known, arn=arn, permissions=why)
    owner = Owner(role, partition(region), arn.split(":")[4], region)
    simulation = _Simulation(identity, arn, read)
    permissions = simulation.answers(questions(owner, registered))
    return IdentityFacts(**known, arn=arn, permissions=permissions)


def _region(registered: Registered) -> str:
    places: list[SecretFunction | Gateway | Endpoint] = [
        *registered.functions, *registered.gateways, *registered.endpoints,
    ]  # fmt: skip
    return default_region() or next((one.region for one in places if one.region), _REGION)


@dataclass
class _Simulation:
    """Of one identity. `arn` may lack the path of its role, which a session does not tell."""

    identity: Identity
    arn: str
    read: Read

    def answers(
        self, asked: Mapping[tuple[str, ...], list[Question]]
    ) -> tuple[Permission, ...] | Unread:
        found: list[Permission] = []
        for resources, together in asked.items():
            actions = sorted({action for one in together for action in one.actions})
            for at in range(0, len(resources), MOST):
                told = self._ask(actions, resources[at : at + MOST])
                if isinstance(told, Unread):
                    return told
                found += [each for one in told for each in _permissions(together, one)]
        return tuple(found)

    def _ask(self, actions: list[str], resources: tuple[str, ...]) -> list[Simulated] | Unread:
        told = self.read(lambda: self.identity.simulate(self.arn, actions, resources))
        if not (isinstance(told, Unread) and told.missing):
            return told
        path = self.read(lambda: self.identity.with_path(self.arn))
        if isinstance(path, Unread):
            return path
        self.arn = path
        return self.read(lambda: self.identity.simulate(path, actions, resources))


def _permissions(asked: list[Question], one: Simulated) -> Iterator[Permission]:
    for question in asked:
        if one.action in question.actions:
            yield Permission(question.need, one.action, one.resource, _decision(one))


def _decision(one: Simulated) -> Decision:
    if one.depends:
        return Decision.UNSURE
    return Decision.ALLOWED if one.allowed else Decision.DENIED
