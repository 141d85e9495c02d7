"""A secret in AWS Secrets Manager: its versions, and the labels that say what each one is for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams.aws.calls import Calls
from streams.aws.failures import MissingError, RejectedError, StaleError

# A label is on one version at a time. Who reads the secret reads `CURRENT`; where AWS moves that
# label, the version that had it gets `PREVIOUS`.
PENDING = "AWSPENDING"
CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"


@dataclass(frozen=True)
class Labels:
    """What AWS says of a secret. `versions` tells the id of the version that has each label.

    `deleted`: it is scheduled for deletion. `rotates`: AWS itself rotates it. `replica`: it can be
    changed in another region only.
    """

    versions: Mapping[str, str]
    deleted: bool = False
    rotates: bool = False
    replica: bool = False


@dataclass(frozen=True)
class StoredSecret:
    """One secret, by its name or ARN. Every method raises `ControlError`s."""

    calls: Calls
    name: str

    def read(self) -> Labels | None:
        """`DescribeSecret`; None where there is none of this name."""
        try:
            answer = self._call("DescribeSecret")
        except MissingError:
            return None
        stages = answer.get("VersionIdsToStages") or {}
        return Labels(
            versions={label: version for version, labels in stages.items() for label in labels},
            deleted=bool(answer.get("DeletedDate")),
            rotates=bool(answer.get("RotationEnabled")),
            replica=answer.get("PrimaryRegion", self.calls.region) != self.calls.region,
        )

    def value(self, version: str) -> str | None:
        """`GetSecretValue` of one version; None where it is not text."""
        try:
            answer = self._call("GetSecretValue", VersionId=version)
        except MissingError as exc:
            raise StaleError(exc.operation) from exc
        text: str | None = answer.get("SecretString")
        return text

    def create(self, value: str, *, version: str) -> None:
        """`CreateSecret`, with a first version that is current. `ConflictError`: it is there."""
        self.calls(
            "secretsmanager",
            "CreateSecret",
            Name=self.name,
            ClientRequestToken=version,
            SecretString=value,
            Description="A secret header, rotated by Spillway.",
        )

    def put(self, value: str, *, version: str, label: str) -> None:
        """`PutSecretValue`: a version with this id and label.

        Where there is one of that id already, it stays as it is, and so do its labels.
        """
        self._call(
            "PutSecretValue",
            ClientRequestToken=version,
            SecretString=value,
            VersionStages=[label],
        )

    def move(self, label: str, *, to: str, away: str) -> None:
        """`UpdateSecretVersionStage`, if the version `away` has the label; else `StaleError`."""
        self._relabel(label, MoveToVersionId=to, RemoveFromVersionId=away)

    def remove(self, label: str, *, away: str) -> None:
        """The same, and no other version gets it."""
        self._relabel(label, RemoveFromVersionId=away)

    def _relabel(self, label: str, **versions: str) -> None:
        try:
            self._call("UpdateSecretVersionStage", VersionStage=label, **versions)
        except RejectedError as exc:
            # AWS has no code of its own for a label that is no longer where it was read.
            raise StaleError(exc.operation) from exc

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.calls("secretsmanager", operation, SecretId=self.name, **parameters)
