"""How a fault is mended in Terraform: resources with the arguments that matter, and no others.

What stands there besides stays as it is. A secret's value is a variable, and not applied: rotations
change it.
"""

from collections.abc import Sequence
from typing import Any

from streams.aws.functions import Statement
from streams.doctor.facts import FunctionFacts, GatewayFacts
from streams.provisioning.naming import Names
from streams.provisioning.terraform import Nested, Raw, block

# What the doctor reads of a function and of a gateway.
_FUNCTION = (
    "lambda:GetAlias", "lambda:GetFunctionConfiguration", "lambda:GetFunctionUrlConfig",
    "lambda:GetPolicy",
)  # fmt: skip
_GATEWAY = ("apigateway:GET",)


def function(facts: FunctionFacts, **arguments: Any) -> str:
    """The function itself."""
    return _resource(
        "aws_lambda_function", _name(facts.function), {"function_name": facts.function, **arguments}
    )


def environment(facts: FunctionFacts) -> str:
    """The same, whose variables Terraform does not set back."""
    return function(facts, lifecycle=_ignoring("environment"))


def alias(facts: FunctionFacts, *, note: str = "", version: str = "") -> str:
    """The alias that it is called by; `version` is an expression."""
    body = {"function_name": facts.function, "name": facts.qualifier}
    known = {"function_version": Raw(version)} if version else {}
    made = _resource("aws_lambda_alias", _name(facts.function, facts.qualifier), body | known)
    return _noted(note, made)


def newest(facts: FunctionFacts) -> str:
    """Its alias at what is deployed last."""
    published = function(facts, publish=True)
    of_function = f"aws_lambda_function.{_name(facts.function)}.version"
    return f"{published}\n{alias(facts, version=of_function)}"


def url(facts: FunctionFacts, **arguments: Any) -> str:
    """Its URL."""
    name = _name(facts.function, facts.qualifier, "url")
    return _resource("aws_lambda_function_url", name, _qualified(facts) | arguments)


def permission(facts: FunctionFacts, statement: Statement) -> str:
    """A statement of its policy."""
    condition: dict[str, Any] = {"invoked_via_function_url": True}
    if "FunctionUrlAuthType" in statement.argument:
        condition = {"function_url_auth_type": statement.value}
    said = {"statement_id": statement.id, "action": statement.action, "principal": "*"}
    return _resource(
        "aws_lambda_permission",
        _name(facts.function, facts.qualifier, statement.id),
        _qualified(facts) | said | condition,
    )


def integration(facts: GatewayFacts, **arguments: Any) -> str:
    """The integration."""
    return _resource(_integration(facts), _gateway(facts), _where(facts) | arguments)


def mapping(facts: GatewayFacts, header: str) -> str:
    """The integration as it sends the header, quoted as this kind of API takes it."""
    value = f"${{var.{_name(facts.secret_name, 'value')}}}"
    parameters = {f"integration.request.header.{header}": Raw(f"\"'{value}'\"")}
    if facts.type == "http":
        parameters = {f"overwrite:header.{header}": Raw(f'"{value}"')}
    variable = block(
        "variable", [_name(facts.secret_name, "value")], {"type": Raw("string"), "sensitive": True}
    )
    made = integration(
        facts, request_parameters=parameters, lifecycle=_ignoring("request_parameters")
    )
    return f"{variable}\n{made}"


def deployed(facts: GatewayFacts) -> str:
    """The stage, which Terraform does not set back to a deployment of its own."""
    if facts.type == "http":
        return stage(facts, auto_deploy=True)
    return stage(facts, lifecycle=_ignoring("deployment_id"))


def deployment(facts: GatewayFacts) -> str:
    """The stage where there is none, with its first deployment."""
    if facts.type == "http":
        return deployed(facts)
    name = _gateway(facts)
    made = _resource("aws_api_gateway_deployment", name, _api(facts))
    first = Raw(f"aws_api_gateway_deployment.{name}.id")
    return f"{made}\n{stage(facts, deployment_id=first, lifecycle=_ignoring('deployment_id'))}"


def stage(facts: GatewayFacts, *, note: str = "", **arguments: Any) -> str:
    """The stage."""
    kind, named = ("aws_api_gateway_stage", "stage_name")
    if facts.type == "http":
        kind, named = ("aws_apigatewayv2_stage", "name")
    body = _api(facts) | {named: facts.where.get("stage", "")}
    return _noted(note, _resource(kind, _gateway(facts), body | arguments))


def rest_api(facts: GatewayFacts, **arguments: Any) -> str:
    """The REST API as a whole."""
    return _resource("aws_api_gateway_rest_api", _name(facts.where.get("api_id", "")), arguments)


def regional() -> Nested:
    """The endpoint of a REST API, not by way of AWS's CloudFront."""
    return Nested({"types": ["REGIONAL"]})


def reads(facts: FunctionFacts | GatewayFacts) -> str:
    """What the doctor reads of it, for the portal's identity or the role in the registry."""
    actions = _FUNCTION if isinstance(facts, FunctionFacts) else _GATEWAY
    return allowing("spillway_looks", actions)


def allowing(name: str, actions: Sequence[str], resources: Sequence[str] = ("*",)) -> str:
    """What an identity must be allowed."""
    statement = Nested({"actions": list(actions), "resources": list(resources)})
    return block("data", ["aws_iam_policy_document", name], {"statement": statement})


def trust(role_arn: str) -> str:
    """The role, which lets the portal's own identity assume it."""
    name = _name(role_arn.rpartition("/")[2])
    statement = Nested(
        {
            "actions": ["sts:AssumeRole"],
            "principals": Nested(
                {"type": "AWS", "identifiers": Raw("[var.spillway_identity_arn]")}
            ),
        }
    )
    document = block("data", ["aws_iam_policy_document", name], {"statement": statement})
    policy = Raw(f"data.aws_iam_policy_document.{name}.json")
    role = _resource("aws_iam_role", name, {"assume_role_policy": policy})
    variable = block("variable", ["spillway_identity_arn"], {"type": Raw("string")})
    return f"{variable}\n{document}\n{role}"


def _resource(kind: str, name: str, body: dict[str, Any]) -> str:
    return block("resource", [kind, name], body)


def _noted(note: str, made: str) -> str:
    return f"# {note}\n{made}" if note else made


def _name(*words: str) -> str:
    return Names()(*filter(None, words))


def _ignoring(name: str) -> Nested:
    return Nested({"ignore_changes": [Raw(name)]})


def _qualified(facts: FunctionFacts) -> dict[str, Any]:
    qualifier = {"qualifier": facts.qualifier} if facts.qualifier else {}
    return {"function_name": facts.function, **qualifier}


def _integration(facts: GatewayFacts) -> str:
    return "aws_api_gateway_integration" if facts.type == "rest" else "aws_apigatewayv2_integration"


def _gateway(facts: GatewayFacts) -> str:
    return _name(facts.secret_name, facts.where.get("api_id", ""))


def _api(facts: GatewayFacts) -> dict[str, Any]:
    name = "rest_api_id" if facts.type == "rest" else "api_id"
    return {name: facts.where.get("api_id", "")}


def _where(facts: GatewayFacts) -> dict[str, Any]:
    if facts.type == "http":
        return _api(facts)
    method = {"resource_id": facts.where.get("resource_id", "")}
    return _api(facts) | method | {"http_method": facts.where.get("method", "")}
