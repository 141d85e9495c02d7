"""A Lambda function's configuration, versions and aliases."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
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
    arn: str = ""
    # Inside a VPC a function URL does not stream.
    in_vpc: bool = False
    # Seconds that one invocation may take; 0 where AWS does not tell.
    timeout: int = 0
    # AWS's code for why it cannot run; empty where it can.
    state_reason: str = ""
    # What else a version is published with, by AWS's names.
    shape: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Alias:
    """`weighted`: some of its requests go to a second version."""

    version: str
    revision_id: str
    weighted: bool


@dataclass(frozen=True)
class UrlConfig:
    """A function URL. `auth_type` is `NONE` or `AWS_IAM`, `cors` what AWS tells of it."""

    url: str
    auth_type: str
    invoke_mode: str
    cors: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Statement:
    """A statement of a function's policy that lets everybody in, on one condition.

    `argument` is how `AddPermission` is told of the condition that a policy shows as `key`.
    """

    id: str
    action: str
    argument: Mapping[str, Any]
    key: str
    value: str

    def is_in(self, statements: Iterable[Mapping[str, Any]]) -> bool:
        """Whether one of a policy's statements says the same, whatever its id."""
        return any(self._is(one) for one in statements)

    def _is(self, statement: Mapping[str, Any]) -> bool:
        told = {
            name: str(held).lower()
            for conditions in (statement.get("Condition") or {}).values()
            for name, held in conditions.items()
        }
        return (
            statement.get("Effect") == "Allow"
            and statement.get("Principal") in ("*", {"AWS": "*"})
            and statement.get("Action") == self.action
            and told == {self.key: self.value.lower()}
        )


# Without both of them nobody may call a public URL: the second one is needed since October 2025.
PUBLIC = (
    Statement(
        "spillway-url",
        "lambda:InvokeFunctionUrl",
        {"FunctionUrlAuthType": "NONE"},
        "lambda:FunctionUrlAuthType",
        "NONE",
    ),
    Statement(
        "spillway-invoke-via-url",
        "lambda:InvokeFunction",
        {"InvokedViaFunctionUrl": True},
        "lambda:InvokedViaFunctionUrl",
        "true",
    ),
)


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

    def set_timeout(self, seconds: int, *, revision_id: str) -> None:
        """`UpdateFunctionConfiguration`: of `$LATEST`, if it is still that revision."""
        self._call("UpdateFunctionConfiguration", Timeout=seconds, RevisionId=revision_id)

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

    def url(self, qualifier: str = "") -> UrlConfig | None:
        """`GetFunctionUrlConfig`; None where it has no URL."""
        try:
            answer = self._call("GetFunctionUrlConfig", **_qualified(qualifier))
        except MissingError:
            return None
        # Absent: BUFFERED.
        mode = answer.get("InvokeMode") or "BUFFERED"
        return UrlConfig(answer["FunctionUrl"], answer["AuthType"], mode, answer.get("Cors") or {})

    def add_url(self, qualifier: str, *, like: UrlConfig) -> None:
        """`CreateFunctionUrlConfig`, with the same settings as another URL."""
        cors = {"Cors": dict(like.cors)} if like.cors else {}
        self._call(
            "CreateFunctionUrlConfig",
            **_qualified(qualifier),
            AuthType=like.auth_type,
            InvokeMode=like.invoke_mode,
            **cors,
        )

    def set_invoke_mode(self, qualifier: str, mode: str) -> None:
        """`UpdateFunctionUrlConfig`; what else there is of the URL stays."""
        self._call("UpdateFunctionUrlConfig", **_qualified(qualifier), InvokeMode=mode)

    def remove_url(self, qualifier: str = "") -> None:
        """`DeleteFunctionUrlConfig`, where there is one."""
        with suppress(MissingError):
            self._call("DeleteFunctionUrlConfig", **_qualified(qualifier))

    def missing_statements(self, qualifier: str = "") -> list[Statement]:
        """`GetPolicy`: which of `PUBLIC` it does not have.

        AWS keeps a policy for the function and for each alias.
        """
        held = self.statements(qualifier)
        return [statement for statement in PUBLIC if not statement.is_in(held)]

    def public_statements(self, qualifier: str = "") -> dict[str, Statement]:
        """`GetPolicy`: those of `PUBLIC` that it has, by the ids that they have there."""
        held = self.statements(qualifier)
        return {
            str(one.get("Sid", "")): statement
            for statement in PUBLIC
            for one in held
            if statement.is_in([one])
        }

    def statements(self, qualifier: str = "") -> list[dict[str, Any]]:
        """`GetPolicy`: all that it has, as AWS words it; none where there is no policy."""
        try:
            answer = self._call("GetPolicy", **_qualified(qualifier))
        except MissingError:
            return []
        return json.loads(answer["Policy"]).get("Statement") or []

    def permit(self, statement: Statement, qualifier: str = "") -> None:
        """`AddPermission`."""
        self._call(
            "AddPermission",
            **_qualified(qualifier),
            StatementId=statement.id,
            Action=statement.action,
            Principal="*",
            **statement.argument,
        )

    def revoke(self, statement: Statement, qualifier: str = "") -> None:
        """`RemovePermission`, where it is there under our id."""
        with suppress(MissingError):
            self._call("RemovePermission", **_qualified(qualifier), StatementId=statement.id)

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
        state_reason=answer.get("StateReasonCode") or "",
        state=answer.get("State") or "Active",
        code_sha256=answer.get("CodeSha256", ""),
        version=answer.get("Version", ""),
        arn=answer.get("FunctionArn", ""),
        in_vpc=bool((answer.get("VpcConfig") or {}).get("VpcId")),
        timeout=int(answer.get("Timeout") or 0),
        shape=_shape(answer),
    )


def _shape(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Only what stays as it is when a version is published: AWS sets other things by itself."""
    vpc = answer.get("VpcConfig") or {}
    return {
        **{name: answer.get(name) for name in _KEPT},
        "Layers": [layer.get("Arn") for layer in answer.get("Layers") or []],
        "VpcConfig": [sorted(vpc.get(name) or []) for name in ("SubnetIds", "SecurityGroupIds")],
    }


_KEPT = (
    "Handler", "Runtime", "MemorySize", "Timeout", "Role", "Architectures", "EphemeralStorage",
)  # fmt: skip
