"""The least that one identity must be allowed for all that is registered: pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from streams.adding import needs
from streams.doctor.facts import Need
from streams.doctor.needs import Owner, Registered, questions
from streams.models.secrets import StoredAt

_STORES = (
    "secretsmanager:CreateSecret", "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
)  # fmt: skip

Pair = tuple[tuple[str, ...], tuple[str, ...]]


def policy(
    owner: Owner, registered: Registered, stored: Sequence[StoredAt] = ()
) -> dict[str, Any] | None:
    """An IAM policy; None where `owner` need not be allowed anything.

    `registered.web`: it is that of the web process, which calls and rotates nothing. `stored` is
    where values of secrets stand in Secrets Manager.
    """
    resources: dict[tuple[str, ...], dict[str, None]] = {}
    pairs = [
        *_calls(owner, registered), *_rotates(owner, registered), *_assumes(owner, registered),
    ]  # fmt: skip
    if owner.role or not registered.web:
        pairs += [(_STORES, (_secret(owner, one),)) for one in stored if one.role_arn == owner.role]
    for actions, places in pairs:
        resources.setdefault(tuple(sorted(actions)), {}).update(dict.fromkeys(places))
    if not resources:
        return None
    return needs.policy(
        needs.allow(list(actions), *places) for actions, places in sorted(resources.items())
    )


def _calls(owner: Owner, registered: Registered) -> Iterator[Pair]:
    for endpoint in registered.endpoints:
        found = needs.calling(endpoint) if endpoint.role_arn == owner.role else None
        for statement in found["Statement"] if found else ():
            yield tuple(statement["Action"]), tuple(statement["Resource"])


def _rotates(owner: Owner, registered: Registered) -> Iterator[Pair]:
    for resources, together in questions(owner, registered).items():
        for asked in together:
            if asked.need in {Need.ROTATE, Need.LOOK}:
                yield asked.actions, resources


def _assumes(owner: Owner, registered: Registered) -> Iterator[Pair]:
    roles = () if owner.role else tuple(role for role in registered.roles() if role)
    if roles:
        yield ("sts:AssumeRole",), roles


def _secret(owner: Owner, stored: StoredAt) -> str:
    """Its ARN, whose last part AWS makes up when it is created."""
    if stored.id.startswith("arn:"):
        return stored.id
    where = f"arn:{owner.partition}:secretsmanager:{stored.region or owner.region}:{owner.account}"
    return f"{where}:secret:{stored.id}-??????"
