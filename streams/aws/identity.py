"""What AWS's simulation says that a user or role may do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from streams.aws.calls import Calls
from streams.aws.failures import RejectedError

# What AWS answers at once; the rest comes behind a marker.
_ITEMS = 1000
_PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov", "eusc": "aws-eusc"}


def partition(region: str) -> str:
    """That of AWS which a region is part of, as ARNs name it."""
    found = (name for prefix, name in _PARTITIONS.items() if region.startswith(f"{prefix}-"))
    return next(found, "aws")


@dataclass(frozen=True)
class Simulated:
    """The outcome of one action on one resource. `depends`: on context that was not given."""

    action: str
    resource: str
    allowed: bool
    depends: bool = False


@dataclass(frozen=True)
class Identity:
    """The identity that `calls` are signed by. Every method raises `ControlError`s."""

    calls: Calls

    def with_path(self, arn: str) -> str:
        """`GetRole`: a role's ARN with its path."""
        return str(self.calls("iam", "GetRole", RoleName=arn.rpartition("/")[2])["Role"]["Arn"])

    def simulate(
        self, arn: str, actions: Iterable[str], resources: Iterable[str]
    ) -> list[Simulated]:
        """`SimulatePrincipalPolicy`: each action on each resource."""
        wanted = list(actions)
        try:
            return self._simulate(arn, wanted, list(resources))
        except RejectedError:
            # AWS refuses to simulate some actions together.
            if len(wanted) == 1:
                raise
        return [found for one in wanted for found in self.simulate(arn, [one], resources)]

    def _simulate(self, arn: str, actions: list[str], resources: list[str]) -> list[Simulated]:
        found: list[Simulated] = []
        more: dict[str, str] = {}
        while True:
            answer = self.calls(
                "iam", "SimulatePrincipalPolicy", PolicySourceArn=arn, ActionNames=actions,
                ResourceArns=resources, MaxItems=_ITEMS, **more,
            )  # fmt: skip
            found += [one for told in answer["EvaluationResults"] for one in _simulated(told)]
            if not answer.get("IsTruncated"):
                return found
            more = {"Marker": answer["Marker"]}


def _simulated(told: Mapping[str, Any]) -> Iterable[Simulated]:
    """AWS tells resources apart below one result, unless every resource was asked about."""
    action = str(told["EvalActionName"])
    limits = (told.get("OrganizationsDecisionDetail") or {}).get("AllowedByOrganizations", True)
    whole = {**told, "EvalResourceDecision": told["EvalDecision"]}
    for one in told.get("ResourceSpecificResults") or [whole]:
        allowed = one["EvalResourceDecision"] == "allowed" and limits
        resource = str(one.get("EvalResourceName", "*"))
        yield Simulated(action, resource, allowed, bool(one.get("MissingContextValues")))
