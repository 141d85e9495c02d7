"""hashicorp/aws, in what these files use of it: each kind of resource, made by boto3.

A function is named for its kind, and its parameters for the arguments, so that Python refuses one
that is not known. Where there is a default, it is the provider's. It returns the attributes that
the resource has beside its arguments. What the provider does of itself, from version 6.29 on, is
said where it is done; its documentation for each kind says the defaults.
"""

import inspect
import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.client import Sandbox
from tests.functions.terraform.hcl import TerraformError

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Provider:
    """Makes what it is told in a sandbox."""

    aws: Sandbox

    def look(self, kind: str, arguments: Attributes) -> Attributes:
        return _called(_SOURCES, kind, self.aws, arguments)

    def make(self, kind: str, arguments: Attributes) -> Attributes:
        return arguments | _called(_RESOURCES, kind, self.aws, arguments)

    def read(self, kind: str, made: Attributes) -> Attributes:
        return _READ[kind](self.aws, made) if kind in _READ else {}


def _called(
    functions: dict[str, Callable[..., Attributes]], kind: str, aws: Sandbox, given: Attributes
) -> Attributes:
    if kind not in functions:
        raise TerraformError(f"{kind} is not known here")
    try:
        inspect.signature(functions[kind]).bind(aws, **given)
    except TypeError as exc:
        raise TerraformError(f"{kind}: {exc}") from exc
    return functions[kind](aws, **given)


# Data sources.


def aws_partition(aws: Sandbox) -> Attributes:
    return {"partition": "aws", "dns_suffix": "amazonaws.com"}


def aws_region(aws: Sandbox) -> Attributes:
    return {"region": aws.region}


def aws_iam_policy_document(aws: Sandbox, *, statement: list[Attributes]) -> Attributes:
    statements = [_statement(**one) for one in statement]
    sids = [one["Sid"] for one in statements if "Sid" in one]
    if len(sids) != len(set(sids)):
        raise TerraformError("each sid must be there once")
    return {"json": json.dumps({"Version": "2012-10-17", "Statement": statements})}


def _statement(
    *,
    actions: list[str],
    resources: Iterable[str] = (),
    sid: str = "",
    effect: str = "Allow",
    principals: Iterable[Attributes] = (),
    condition: Iterable[Attributes] = (),
) -> Attributes:
    made: Attributes = {"Effect": effect, "Action": actions}
    if sid:
        made["Sid"] = sid
    if resources:
        made["Resource"] = list(resources)
    for one in principals:
        _put(made, "Principal", _principal(**one))
    for one in condition:
        _put(made, "Condition", _condition(**one))
    return made


def _put(made: Attributes, name: str, held: Any) -> None:
    if name in made:
        raise TerraformError(f"several of {name} are not known here")
    made[name] = held


def _principal(*, type: str, identifiers: list[str]) -> Any:  # noqa: A002 - its name
    # Anybody at all is written in this way, and not as a map.
    return "*" if (type, identifiers) == ("*", ["*"]) else {type: identifiers}


def _condition(*, test: str, variable: str, values: list[str]) -> Attributes:
    return {test: {variable: values}}


# IAM, logs and the bucket.


def aws_iam_role(aws: Sandbox, *, name_prefix: str, assume_role_policy: str) -> Attributes:
    # The provider adds 26 characters, and a name has 64 at most.
    if len(name_prefix) > 38:
        raise TerraformError("name_prefix has 38 characters at most")
    made = aws.client("iam").create_role(
        RoleName=name_prefix + secrets.token_hex(13), Path="/", MaxSessionDuration=3600,
        AssumeRolePolicyDocument=assume_role_policy,
    )["Role"]  # fmt: skip
    return {"id": made["RoleName"], "name": made["RoleName"], "arn": made["Arn"]}


def aws_iam_role_policy(aws: Sandbox, *, name: str, role: str, policy: str) -> Attributes:
    aws.client("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=policy)
    return {"id": f"{role}:{name}"}


def aws_cloudwatch_log_group(aws: Sandbox, *, name: str, retention_in_days: int) -> Attributes:
    logs = aws.client("logs")
    logs.create_log_group(logGroupName=name)
    logs.put_retention_policy(logGroupName=name, retentionInDays=retention_in_days)
    (found,) = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    # The provider leaves out what the API has behind it.
    return {"id": name, "arn": found["arn"].removesuffix(":*")}


def aws_s3_bucket_policy(aws: Sandbox, *, bucket: str, policy: str) -> Attributes:
    document = json.loads(policy)
    # The sandbox is reached without TLS, and this one would refuse everybody.
    document["Statement"] = [one for one in document["Statement"] if not _denies_plain(one)]
    aws.client("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    return {"id": bucket}


def _denies_plain(statement: Attributes) -> bool:
    plain = {"Bool": {"aws:SecureTransport": ["false"]}}
    return statement["Effect"] == "Deny" and statement.get("Condition") == plain


# Lambda.


def aws_lambda_function(
    aws: Sandbox,
    *,
    function_name: str,
    role: str,
    filename: str,
    source_code_hash: str,
    runtime: str,
    handler: str,
    environment: list[Attributes],
    timeout: int = 3,
    memory_size: int = 128,
    publish: bool = False,
) -> Attributes:
    """`source_code_hash` says when the file is another one."""
    functions = aws.client("lambda")
    functions.create_function(
        FunctionName=function_name, Role=role, Runtime=runtime, Handler=handler, Timeout=timeout,
        MemorySize=memory_size, Publish=publish, PackageType="Zip",
        Code={"ZipFile": Path(filename).read_bytes()},
        Environment={"Variables": _variables(**environment[0])},
    )  # fmt: skip
    functions.get_waiter("function_active_v2").wait(
        FunctionName=function_name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    versions = functions.list_versions_by_function(FunctionName=function_name)["Versions"]
    return {
        "id": function_name,
        "arn": functions.get_function_configuration(FunctionName=function_name)["FunctionArn"],
        "version": versions[-1]["Version"],
    }


def _variables(*, variables: dict[str, str]) -> dict[str, str]:
    return variables


def aws_lambda_alias(
    aws: Sandbox, *, name: str, function_name: str, function_version: str
) -> Attributes:
    made = aws.client("lambda").create_alias(
        FunctionName=function_name, Name=name, FunctionVersion=function_version, Description=""
    )
    return {"id": made["AliasArn"], "arn": made["AliasArn"]}


def aws_lambda_function_url(
    aws: Sandbox,
    *,
    function_name: str,
    authorization_type: str,
    qualifier: str | None = None,
    invoke_mode: str = "BUFFERED",
) -> Attributes:
    functions = aws.client("lambda")
    made = functions.create_function_url_config(
        FunctionName=function_name, AuthType=authorization_type, InvokeMode=invoke_mode,
        **_qualified(qualifier),
    )  # fmt: skip
    # The provider lets everybody call a URL that it makes with NONE. It does not keep these two
    # in its state, nor adds them to a URL that becomes NONE later.
    if authorization_type == "NONE":
        for name, statement in AUTOMATIC.items():
            functions.add_permission(
                FunctionName=function_name, StatementId=_stated(name, qualifier), Principal="*",
                **statement, **_qualified(qualifier),
            )  # fmt: skip
    return {"function_arn": made["FunctionArn"], "function_url": made["FunctionUrl"]}


AUTOMATIC: dict[str, dict[str, Any]] = {
    "FunctionURLAllowPublicAccess": {
        "Action": "lambda:InvokeFunctionUrl",
        "FunctionUrlAuthType": "NONE",
    },
    "FunctionURLAllowInvokeAction": {
        "Action": "lambda:InvokeFunction",
        "InvokedViaFunctionUrl": True,
    },
}


def _stated(statement_id: str, qualifier: str | None) -> str:
    """AWS keeps a policy for each alias; the emulator has one, in which an id is there once."""
    return f"{statement_id}-{qualifier}" if qualifier else statement_id


def aws_lambda_permission(
    aws: Sandbox,
    *,
    statement_id: str,
    function_name: str,
    action: str,
    principal: str,
    qualifier: str | None = None,
    function_url_auth_type: str | None = None,
    invoked_via_function_url: bool | None = None,
) -> Attributes:
    given = {
        "FunctionUrlAuthType": function_url_auth_type,
        "InvokedViaFunctionUrl": invoked_via_function_url,
    }
    aws.client("lambda").add_permission(
        StatementId=_stated(statement_id, qualifier), FunctionName=function_name, Action=action,
        Principal=principal, **_qualified(qualifier),
        **{name: held for name, held in given.items() if held is not None},
    )  # fmt: skip
    return {"id": statement_id}


def _qualified(qualifier: str | None) -> dict[str, str]:
    return {"Qualifier": qualifier} if qualifier else {}


# REST APIs.


def aws_api_gateway_rest_api(
    aws: Sandbox, *, name: str, endpoint_configuration: list[Attributes]
) -> Attributes:
    apis = aws.client("apigateway")
    types = _types(**endpoint_configuration[0])
    made = apis.create_rest_api(name=name, endpointConfiguration={"types": types})
    (root,) = apis.get_resources(restApiId=made["id"])["items"]
    return {"id": made["id"], "root_resource_id": root["id"]}


def _types(*, types: list[str]) -> list[str]:
    return types


def aws_api_gateway_resource(
    aws: Sandbox, *, rest_api_id: str, parent_id: str, path_part: str
) -> Attributes:
    made = aws.client("apigateway").create_resource(
        restApiId=rest_api_id, parentId=parent_id, pathPart=path_part
    )
    return {"id": made["id"], "path": made["path"]}


def aws_api_gateway_method(
    aws: Sandbox, *, rest_api_id: str, resource_id: str, http_method: str, authorization: str
) -> Attributes:
    aws.client("apigateway").put_method(
        restApiId=rest_api_id, resourceId=resource_id, httpMethod=http_method,
        authorizationType=authorization, apiKeyRequired=False,
    )  # fmt: skip
    return {"id": f"agm-{rest_api_id}-{resource_id}-{http_method}"}


def aws_api_gateway_integration(
    aws: Sandbox,
    *,
    rest_api_id: str,
    resource_id: str,
    http_method: str,
    type: str,  # noqa: A002 - its name
    integration_http_method: str,
    uri: str,
    request_parameters: dict[str, str],
    response_transfer_mode: str = "BUFFERED",
    timeout_milliseconds: int = 29_000,
) -> Attributes:
    longest = 900_000 if response_transfer_mode == "STREAM" else 300_000
    if not 50 <= timeout_milliseconds <= longest:
        raise TerraformError(f"timeout_milliseconds is 50 to {longest}")
    aws.client("apigateway").put_integration(
        restApiId=rest_api_id, resourceId=resource_id, httpMethod=http_method, type=type,
        integrationHttpMethod=integration_http_method, uri=uri, connectionType="INTERNET",
        requestParameters=request_parameters, responseTransferMode=response_transfer_mode,
        timeoutInMillis=timeout_milliseconds,
    )  # fmt: skip
    return {"id": f"agi-{rest_api_id}-{resource_id}-{http_method}"}


def aws_api_gateway_deployment(aws: Sandbox, *, rest_api_id: str) -> Attributes:
    apis = aws.client("apigateway")
    resources = apis.get_resources(restApiId=rest_api_id, embed=["methods"])["items"]
    methods = [one for part in resources for one in part.get("resourceMethods", {}).values()]
    # AWS refuses that, and the emulator does not.
    if not methods or not all("methodIntegration" in one for one in methods):
        raise TerraformError("a deployment needs methods, and an integration of each")
    return {"id": apis.create_deployment(restApiId=rest_api_id)["id"]}


def aws_api_gateway_stage(
    aws: Sandbox, *, rest_api_id: str, deployment_id: str, stage_name: str
) -> Attributes:
    aws.client("apigateway").create_stage(
        restApiId=rest_api_id, deploymentId=deployment_id, stageName=stage_name
    )
    # The sandbox serves it under its own address.
    return {
        "id": f"ags-{rest_api_id}-{stage_name}",
        "invoke_url": f"{aws.url}/_rest/{rest_api_id}/{stage_name}",
    }


# HTTP APIs.


def aws_apigatewayv2_api(aws: Sandbox, *, name: str, protocol_type: str) -> Attributes:
    made = aws.client("apigatewayv2").create_api(
        Name=name, ProtocolType=protocol_type, DisableExecuteApiEndpoint=False,
        ApiKeySelectionExpression="$request.header.x-api-key",
        RouteSelectionExpression="$request.method $request.path",
    )  # fmt: skip
    # Here too.
    return {"id": made["ApiId"], "api_endpoint": f"{aws.url}/_http/{made['ApiId']}"}


def aws_apigatewayv2_integration(
    aws: Sandbox,
    *,
    api_id: str,
    integration_type: str,
    integration_method: str,
    integration_uri: str,
    request_parameters: dict[str, str],
    payload_format_version: str = "1.0",
) -> Attributes:
    made = aws.client("apigatewayv2").create_integration(
        ApiId=api_id, IntegrationType=integration_type, IntegrationMethod=integration_method,
        IntegrationUri=integration_uri, PayloadFormatVersion=payload_format_version,
        RequestParameters=request_parameters, ConnectionType="INTERNET",
    )  # fmt: skip
    return {"id": made["IntegrationId"]}


def aws_apigatewayv2_route(aws: Sandbox, *, api_id: str, route_key: str, target: str) -> Attributes:
    made = aws.client("apigatewayv2").create_route(
        ApiId=api_id, RouteKey=route_key, Target=target, AuthorizationType="NONE",
        ApiKeyRequired=False,
    )  # fmt: skip
    return {"id": made["RouteId"]}


def aws_apigatewayv2_stage(
    aws: Sandbox, *, api_id: str, name: str, auto_deploy: bool = False
) -> Attributes:
    aws.client("apigatewayv2").create_stage(ApiId=api_id, StageName=name, AutoDeploy=auto_deploy)
    return {"id": name}


_SOURCES: dict[str, Callable[..., Attributes]] = {
    one.__name__: one for one in (aws_partition, aws_region, aws_iam_policy_document)
}
_RESOURCES: dict[str, Callable[..., Attributes]] = {
    one.__name__: one
    for one in (
        aws_iam_role, aws_iam_role_policy, aws_cloudwatch_log_group, aws_s3_bucket_policy,
        aws_lambda_function, aws_lambda_alias, aws_lambda_function_url, aws_lambda_permission,
        aws_api_gateway_rest_api, aws_api_gateway_resource, aws_api_gateway_method,
        aws_api_gateway_integration, aws_api_gateway_deployment, aws_api_gateway_stage,
        aws_apigatewayv2_api, aws_apigatewayv2_integration, aws_apigatewayv2_route,
        aws_apigatewayv2_stage,
    )
}  # fmt: skip


# What a rotation, a repair or a person may have changed, read as the provider refreshes it.


def _read_function(aws: Sandbox, made: Attributes) -> Attributes:
    found = aws.client("lambda").get_function_configuration(FunctionName=made["function_name"])
    return {
        "environment": [{"variables": found["Environment"]["Variables"]}],
        "role": found["Role"],
        "runtime": found["Runtime"],
        "handler": found["Handler"],
        "timeout": found["Timeout"],
        "memory_size": found["MemorySize"],
    }


def _read_alias(aws: Sandbox, made: Attributes) -> Attributes:
    found = aws.client("lambda").get_alias(FunctionName=made["function_name"], Name=made["name"])
    return {"function_version": found["FunctionVersion"]}


def _read_function_url(aws: Sandbox, made: Attributes) -> Attributes:
    found = aws.client("lambda").get_function_url_config(
        FunctionName=made["function_name"], **_qualified(made.get("qualifier"))
    )
    return {"authorization_type": found["AuthType"], "invoke_mode": found["InvokeMode"]}


def _read_integration(aws: Sandbox, made: Attributes) -> Attributes:
    found = aws.client("apigateway").get_integration(
        restApiId=made["rest_api_id"],
        resourceId=made["resource_id"],
        httpMethod=made["http_method"],
    )
    return {
        "type": found["type"],
        "integration_http_method": found["httpMethod"],
        "uri": found["uri"],
        "request_parameters": found["requestParameters"],
        "response_transfer_mode": found["responseTransferMode"],
        "timeout_milliseconds": found["timeoutInMillis"],
    }


def _read_stage(aws: Sandbox, made: Attributes) -> Attributes:
    found = aws.client("apigateway").get_stage(
        restApiId=made["rest_api_id"], stageName=made["stage_name"]
    )
    return {"deployment_id": found["deploymentId"]}


def _read_http_integration(aws: Sandbox, made: Attributes) -> Attributes:
    found = aws.client("apigatewayv2").get_integration(
        ApiId=made["api_id"], IntegrationId=made["id"]
    )
    return {
        "integration_type": found["IntegrationType"],
        "integration_method": found["IntegrationMethod"],
        "integration_uri": found["IntegrationUri"],
        "request_parameters": found["RequestParameters"],
        "payload_format_version": found["PayloadFormatVersion"],
    }


_READ: dict[str, Callable[[Sandbox, Attributes], Attributes]] = {
    "aws_lambda_function": _read_function,
    "aws_lambda_alias": _read_alias,
    "aws_lambda_function_url": _read_function_url,
    "aws_api_gateway_integration": _read_integration,
    "aws_api_gateway_stage": _read_stage,
    "aws_apigatewayv2_integration": _read_http_integration,
}
