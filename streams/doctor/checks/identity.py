"""Identities: whether they may do what is needed, and what nobody needs."""

import hashlib
import json
import shlex
from collections.abc import Iterable, Iterator

from streams.doctor import terraform
from streams.doctor.checks.check import Found, Severity, SkippedError, check, known
from streams.doctor.facts import Decision, IdentityFacts, Need, Permission

# An account that AWS gives to nobody, and that emulators call theirs.
_EMULATED = "000000000000"
# What evidence lists, at most.
_MOST = 20
# Characters that AWS takes for an inline policy of a role, and of a user.
_ROLE_POLICY, _USER_POLICY = 10_240, 2_048


@check(
    "identity-root",
    Severity.WARNING,
    "The portal does not run as the account's root user",
    consequence="Whoever gets hold of the portal has the whole AWS account, and no policy can "
    "limit that.",
)
def root(identity: IdentityFacts) -> Iterator[Found]:
    arn = known(identity.arn)
    if not arn.endswith(":root"):
        return
    if f":{_EMULATED}:" in arn:
        raise SkippedError("This is an emulator's account.")
    yield Found(
        "The portal uses keys of the account's root user.",
        "Give it a role of its own, with what docs/rotation.md lists, and delete the root user's "
        "keys.",
        evidence=(f"GetCallerIdentity: {arn}",),
    )


@check(
    "identity-lacks",
    Severity.WARNING,
    "The identity may do what rotations do",
    consequence="A rotation stops at the first thing that AWS does not allow.",
)
def lacks(identity: IdentityFacts) -> Iterator[Found]:
    missing = _of(identity, Need.ROTATE, Decision.DENIED)
    if missing:
        yield _lacking(identity, missing, "rotations need it to")


@check(
    "identity-sees-less",
    Severity.INFO,
    "The identity may look at what the doctor judges",
    consequence="The doctor skips what it may not see.",
)
def sees_less(identity: IdentityFacts) -> Iterator[Found]:
    missing = _of(identity, Need.LOOK, Decision.DENIED)
    if missing:
        yield _lacking(identity, missing, "the doctor would like it to")


@check(
    "identity-may-more",
    Severity.WARNING,
    "The identity may do nothing else",
    consequence="Whoever gets hold of the portal can do that too.",
)
def may_more(identity: IdentityFacts) -> Iterator[Found]:
    allowed = _of(identity, Need.NOTHING, Decision.ALLOWED)
    if allowed:
        yield Found(
            f"{_subject(identity)} may do what this portal never does: {_actions(allowed)}.",
            "Take away the policies that allow it, and allow what docs/rotation.md lists, on the "
            "functions and APIs of the registry alone.",
            evidence=_evidence(allowed),
            cli=_policies(known(identity.arn)),
        )


@check(
    "identity-rotates-elsewhere",
    Severity.WARNING,
    "The identity may not do what another one is for",
    consequence="The role that rotates protects nothing: whoever gets hold of the portal needs no "
    "role to change its functions and gateways.",
)
def rotates_elsewhere(identity: IdentityFacts) -> Iterator[Found]:
    allowed = _of(identity, Need.ELSEWHERE, Decision.ALLOWED)
    if allowed:
        yield Found(
            f"{_subject(identity)} may change what is rotated under another identity: "
            f"{_actions(allowed)}.",
            "Leave that to the role, or to the worker's identity.",
            evidence=_evidence(allowed),
            cli=_policies(known(identity.arn)),
        )


def _of(identity: IdentityFacts, need: Need, decision: Decision) -> list[Permission]:
    """Raises `SkippedError` where nothing of that need is known."""
    asked = [one for one in known(identity.permissions) if one.need == need]
    if not asked:
        raise SkippedError("It is not for that.")
    found = [one for one in asked if one.decision == decision]
    if not found and all(one.decision == Decision.UNSURE for one in asked):
        raise SkippedError("Its policies have conditions that the simulation does not know.")
    return found


def _lacking(identity: IdentityFacts, missing: list[Permission], why: str) -> Found:
    arn, document = known(identity.arn), _document(missing)
    kind, name = arn.split(":")[5].split("/")[0], arn.rpartition("/")[2]
    # Named for what it says: put again, it replaces itself and nothing else.
    policy = f"spillway-{hashlib.sha256(document.encode()).hexdigest()[:8]}"
    fits = len(document) <= (_USER_POLICY if kind == "user" else _ROLE_POLICY)
    line = [
        "aws", "iam", f"put-{kind}-policy", f"--{kind}-name", name, "--policy-name", policy,
        "--policy-document", document,
    ]  # fmt: skip
    return Found(
        f"{_subject(identity)} may not do what {why}: {_actions(missing)}.",
        f"Add this policy to it: {document}",
        evidence=_evidence(missing),
        cli=(shlex.join(line),) if fits else (),
        terraform="\n".join(
            terraform.allowing(f"{policy}-{number}", actions, resources)
            for number, (actions, resources) in enumerate(_statements(missing).items(), start=1)
        ),
    )


def _document(permissions: Iterable[Permission]) -> str:
    """The policy that allows these and nothing else."""
    statements = [
        {"Effect": "Allow", "Action": list(actions), "Resource": resources}
        for actions, resources in _statements(permissions).items()
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _statements(permissions: Iterable[Permission]) -> dict[tuple[str, ...], list[str]]:
    """The resources of each set of actions."""
    actions: dict[str, list[str]] = {}
    for one in permissions:
        actions.setdefault(one.resource, []).append(one.action)
    resources: dict[tuple[str, ...], list[str]] = {}
    for resource, named in actions.items():
        resources.setdefault(tuple(sorted(set(named))), []).append(resource)
    return resources


def _subject(identity: IdentityFacts) -> str:
    return f"{identity.name[:1].upper()}{identity.name[1:]} ({known(identity.arn)})"


def _actions(permissions: Iterable[Permission]) -> str:
    return ", ".join(sorted({one.action for one in permissions}))


def _evidence(permissions: list[Permission]) -> tuple[str, ...]:
    told = [f"{one.action} on {one.resource}: {one.decision}" for one in permissions[:_MOST]]
    more = len(permissions) - _MOST
    return (*told, f"and {more} more") if more > 0 else tuple(told)


def _policies(arn: str) -> tuple[str, ...]:
    """What tells where a permission comes from."""
    kind, name = arn.split(":")[5].split("/", maxsplit=1)[0], arn.rpartition("/")[2]
    return tuple(
        shlex.join(["aws", "iam", f"list-{which}-policies", f"--{kind}-name", name])
        for which in (f"attached-{kind}", kind)
    )
