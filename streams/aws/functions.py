"""A Lambda function's configuration, versions and aliases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.aws.calls import Calls
from streams.aws.failures import MissingError, UnreadableError


@dataclass(frozen=True)
class Configuration:
    """What AWS says of `$LATEST`, a version or what an alias points at.

    `update_status` is `Successful`, `InProgress` or `Failed`; `state` is `Active` where it can run.
    """

    variables: Mapping[str, str] = field(repr=False)
    revision_id: str
    update_status: str
    update_reason: str
    state: str
    code_sha256: str
    version: str


@dataclass(frozen=True)
class Alias:
    """`weighted`: some of its requests go to a second version."""

    version: str
    revision_id: str
    weighted: bool


@dataclass(frozen=True)
class Function:
    """One function, by its name or ARN. Every method raises `ControlError`s."""

    calls: Calls
    name: str

    def read(self, qualifier: str = "") -> Configuration:
        """`GetFunctionConfiguration`. `UnreadableError` where its variables cannot be decrypted."""
        return _configuration(
            self._call("GetFunctionConfiguration", **_qualified(qualifier)),
        )

    def write(self, variables: Mapping[str, str], *, revision_id: str) -> Configuration:
        """`UpdateFunctionConfiguration`: all variables of `$LATEST`, if it is still that revision.

        What else there is of the configuration stays, `KMSKeyArn` among it.
        """
        return _configuration(
            self._call(
                "UpdateFunctionConfiguration",
                Environment={"Variables": dict(variables)},
                RevisionId=revision_id,
            )
        )

    def publish(self, *, revision_id: str, code_sha256: str) -> Configuration:
        """`PublishVersion` of `$LATEST`, if it is still that revision and that code.

        Where nothing has changed since the last version, AWS answers with that one.
        """
        return _configuration(
            self._call("PublishVersion", RevisionId=revision_id, CodeSha256=code_sha256)
        )

    def alias(self, name: str) -> Alias:
        """`GetAlias`."""
        answer = self._call("GetAlias", Name=name)
        routing = answer.get("RoutingConfig") or {}
        weighted = bool(routing.get("AdditionalVersionWeights"))
        return Alias(answer["FunctionVersion"], answer.get("RevisionId", ""), weighted)

    def move_alias(self, name: str, *, version: str, revision_id: str) -> None:
        """`UpdateAlias`, if it is still that revision."""
        known = {"RevisionId": revision_id} if revision_id else {}
        self._call("UpdateAlias", Name=name, FunctionVersion=version, **known)

    def url(self, qualifier: str = "") -> str | None:
        """`GetFunctionUrlConfig`; None where it has no URL."""
        try:
            answer = self._call("GetFunctionUrlConfig", **_qualified(qualifier))
        except MissingError:
            return None
        return str(answer["FunctionUrl"])

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.calls("lambda", operation, FunctionName=self.name, **parameters)


def _qualified(qualifier: str) -> dict[str, str]:
    return {"Qualifier": qualifier} if qualifier else {}


def _configuration(answer: dict[str, Any]) -> Configuration:
    environment = answer.get("Environment") or {}
    if environment.get("Error"):
        raise UnreadableError("GetFunctionConfiguration", environment["Error"].get("ErrorCode", ""))
    return Configuration(
        variables=environment.get("Variables") or {},
        revision_id=answer.get("RevisionId", ""),
        update_status=answer.get("LastUpdateStatus") or "Successful",
        update_reason=answer.get("LastUpdateStatusReasonCode") or "",
        state=answer.get("State") or "Active",
        code_sha256=answer.get("CodeSha256", ""),
        version=answer.get("Version", ""),
    )
