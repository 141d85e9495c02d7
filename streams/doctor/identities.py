"""Asks AWS what the user or role that it takes this portal for may do: simulated only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streams.aws.account import default_region
from streams.aws.caller import Caller
from streams.aws.calls import Calls
from streams.aws.identity import Identity, Simulated, partition
from streams.doctor import accounts
from streams.doctor.facts import Decision, IdentityFacts, Permission, Unread
from streams.doctor.needs import Owner, Question, Registered, questions
from streams.doctor.reader import Reader
from streams.models import Endpoint, Gateway, SecretFunction
from streams.rotation import pace

# AWS does not say how often it simulates: careful, rather than known.
RATE = pace.Rate(5, 5)
# Resources in one question.
MOST = 20
# IAM is one for all regions. This signs for it where no region is set.
_REGION = "us-east-1"
_NOBODY = Unread("AWS does not say whose keys these are.")


def facts(
    role: str, registered: Registered, reader: Reader, caller: Caller | Unread
) -> IdentityFacts:
    """Of the portal's own identity, or of a role that it assumes."""
    region = _region(registered)

    def before(_: str) -> None:
        pace.take(f"{role or 'own'} iam", RATE)
        reader.guard()

    identity = Identity(Calls(reader.account, region, role, before))
    known: dict[str, Any] = {
        "name": f"role {role}" if role else "the portal's own identity",
        "about": frozenset({f"identity {role or 'own'}"}),
        "depends": accounts.parts_of_identity(role),
    }
    if isinstance(caller, Unread) or not caller.arn:
        why = caller if isinstance(caller, Unread) else _NOBODY
        return IdentityFacts(**known, arn=why, permissions=why)
    arn = caller.arn
    if arn.endswith(":root"):
        why = Unread("The root user may do everything, and cannot be simulated.")
        return IdentityFacts(**known, arn=arn, permissions=why)
    owner = Owner(role, partition(region), arn.split(":")[4], region)
    simulation = _Simulation(identity, arn, reader)
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
    reader: Reader

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
        told = self.reader.read(lambda: self.identity.simulate(self.arn, actions, resources))
        if not (isinstance(told, Unread) and told.missing):
            return told
        path = self.reader.read(lambda: self.identity.with_path(self.arn))
        if isinstance(path, Unread):
            return path
        self.arn = path
        return self.reader.read(lambda: self.identity.simulate(path, actions, resources))


def _permissions(asked: list[Question], one: Simulated) -> Iterator[Permission]:
    for question in asked:
        if one.action in question.actions:
            yield Permission(question.need, one.action, one.resource, _decision(one))


def _decision(one: Simulated) -> Decision:
    if one.depends:
        return Decision.UNSURE
    return Decision.ALLOWED if one.allowed else Decision.DENIED
