"""What exists, as Terraform takes it over: resources, and `import` blocks for them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.provisioning.facts import Fact, FunctionFacts, HttpFacts, Place, RestFacts
from streams.provisioning.naming import Names

_HEAD = """\
# Made by Spillway of what exists. `terraform plan` imports all of it and changes nothing.
# The values of secrets are variables, and what is given for them is not applied: Spillway rotates
# them. Deployments of REST APIs are Spillway's as well.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.29"
    }
  }
}
"""
_CORS = {
    "AllowCredentials": "allow_credentials",
    "AllowHeaders": "allow_headers",
    "AllowMethods": "allow_methods",
    "AllowOrigins": "allow_origins",
    "ExposeHeaders": "expose_headers",
    "MaxAge": "max_age",
}


@dataclass(frozen=True)
class Raw:
    """An expression, written as it is."""

    text: str


Body = Mapping[str, Any]


def render(facts: Sequence[Fact]) -> str:
    """HCL, without the value of any secret."""
    return _HEAD + "".join(f"\n{block}" for block in _Terraform().blocks(facts))


@dataclass
class _Terraform:
    names: Names = field(default_factory=Names)
    variables: dict[str, str] = field(default_factory=dict)

    def blocks(self, facts: Sequence[Fact]) -> Iterator[str]:
        for place in dict.fromkeys(fact.place for fact in facts):
            yield self._provider(place)
        resources = [block for fact in facts for block in self._of(fact)]
        for name, description in self.variables.items():
            yield block(
                "variable",
                [name],
                {"description": description, "type": Raw("string"), "sensitive": True},
            )
        yield from resources

    def _of(self, fact: Fact) -> Iterator[str]:
        if isinstance(fact, FunctionFacts):
            yield from self._function(fact)
        elif isinstance(fact, RestFacts):
            yield from self._rest(fact)
        else:
            yield from self._http(fact)

    def _provider(self, place: Place) -> str:
        body: dict[str, Any] = {"alias": self._alias(place), "region": place.region}
        if place.role_arn:
            body["assume_role"] = Nested({"role_arn": place.role_arn})
        return block("provider", ["aws"], body)

    def _alias(self, place: Place) -> str:
        return self.names("at", place.region, place.role_arn)

    def _resource(
        self, place: Place, kind: str, name: str, identity: str, body: Body
    ) -> Iterator[str]:
        provider = {"provider": Raw(f"aws.{self._alias(place)}")}
        to = {"to": Raw(f"{kind}.{name}"), "id": identity}
        yield block("import", [], to | provider)
        yield block("resource", [kind, name], provider | dict(body))

    def _function(self, fact: FunctionFacts) -> Iterator[str]:
        which = {"function_name": fact.name}
        qualified = fact.name
        if fact.alias:
            yield from self._resource(
                fact.place,
                "aws_lambda_alias",
                self.names(fact.secret, fact.alias),
                f"{fact.name}/{fact.alias}",
                which
                | {"name": fact.alias, "function_version": fact.version}
                | _ignoring("function_version"),
            )
            which |= {"qualifier": fact.alias}
            qualified = f"{fact.name}:{fact.alias}"
        if fact.url is not None:
            yield from self._resource(
                fact.place,
                "aws_lambda_function_url",
                self.names(fact.secret, fact.alias, "url"),
                qualified.replace(":", "/"),
                which
                | {"authorization_type": fact.url.auth_type, "invoke_mode": fact.url.invoke_mode}
                | _cors(fact.url.cors),
            )
        for identity, statement in fact.statements.items():
            condition: dict[str, Any] = {"invoked_via_function_url": True}
            if "FunctionUrlAuthType" in statement.argument:
                condition = {"function_url_auth_type": statement.value}
            yield from self._resource(
                fact.place,
                "aws_lambda_permission",
                self.names(fact.secret, fact.alias, identity),
                f"{qualified}/{identity}",
                which
                | {"statement_id": identity, "action": statement.action, "principal": "*"}
                | condition,
            )

    def _rest(self, fact: RestFacts) -> Iterator[str]:
        name = self.names(fact.secret, fact.api_id, fact.resource_id, fact.method)
        resource = self.names(fact.api_id, fact.resource_id)
        api = {"rest_api_id": fact.api_id}
        yield from self._resource(
            fact.place,
            "aws_api_gateway_resource",
            resource,
            f"{fact.api_id}/{fact.resource_id}",
            api | {"parent_id": fact.parent_id, "path_part": fact.path_part},
        )
        where = api | {
            "resource_id": Raw(f"aws_api_gateway_resource.{resource}.id"),
            "http_method": fact.method,
        }
        identity = f"{fact.api_id}/{fact.resource_id}/{fact.method}"
        yield from self._resource(
            fact.place,
            "aws_api_gateway_method",
            name,
            identity,
            where | {"authorization": fact.authorization},
        )
        held = fact.integration
        yield from self._resource(
            fact.place,
            "aws_api_gateway_integration",
            name,
            identity,
            where
            | {
                "type": held.get("type", "HTTP_PROXY"),
                "integration_http_method": held.get("httpMethod", fact.method),
                "uri": held.get("uri", ""),
                "timeout_milliseconds": held.get("timeoutInMillis", 29000),
                "response_transfer_mode": held.get("responseTransferMode", "BUFFERED"),
                "request_parameters": self._parameters(fact),
            }
            | _ignoring("request_parameters"),
        )

    def _http(self, fact: HttpFacts) -> Iterator[str]:
        name = self.names(fact.secret, fact.api_id, fact.integration_id)
        held = fact.integration
        yield from self._resource(
            fact.place,
            "aws_apigatewayv2_integration",
            name,
            f"{fact.api_id}/{fact.integration_id}",
            {
                "api_id": fact.api_id,
                "integration_type": held.get("IntegrationType", "HTTP_PROXY"),
                "integration_method": held.get("IntegrationMethod", "GET"),
                "integration_uri": held.get("IntegrationUri", ""),
                "payload_format_version": held.get("PayloadFormatVersion", "1.0"),
                "request_parameters": self._parameters(fact),
            }
            | _ignoring("request_parameters"),
        )
        for identity, key in fact.routes.items():
            yield from self._resource(
                fact.place,
                "aws_apigatewayv2_route",
                self.names(fact.secret, fact.api_id, key),
                f"{fact.api_id}/{identity}",
                {
                    "api_id": fact.api_id,
                    "route_key": key,
                    "target": Raw(f'"integrations/${{aws_apigatewayv2_integration.{name}.id}}"'),
                },
            )

    def _parameters(self, fact: RestFacts | HttpFacts) -> dict[str, Any]:
        """Each value is a variable: those of other headers may be secrets as well."""
        found: dict[str, Any] = {}
        for one in fact.parameters:
            if one.expression:
                found[one.name] = one.expression
                continue
            ours = one.name.lower().endswith(f".{fact.header}".lower())
            words = (fact.secret, "value") if ours else (fact.secret, fact.api_id, one.name)
            variable = self.names(*words)
            self.variables[variable] = f"{one.name} of {fact.api_id}: not applied"
            if ours:
                self.variables[variable] = f"The secret {fact.secret}: not applied"
            found[one.name] = Raw(f'"{one.quote}${{var.{variable}}}{one.quote}"')
        return found


@dataclass(frozen=True)
class Nested:
    """A block within a block."""

    body: Body


def _ignoring(*names: str) -> dict[str, Any]:
    """Rotations change it, and Terraform does not change it back."""
    return {"lifecycle": Nested({"ignore_changes": [Raw(name) for name in names]})}


def _cors(held: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: held[key] for key, name in _CORS.items() if key in held}
    return {"cors": Nested(said)} if said else {}


def block(kind: str, labels: Iterable[str], body: Body) -> str:
    """A block of HCL."""
    head = " ".join([kind, *(json.dumps(label) for label in labels)])
    return f"{head} {{\n{_lines(body, '  ')}}}\n"


def _lines(body: Body, indent: str) -> str:
    text = ""
    for name, value in body.items():
        if isinstance(value, Nested):
            text += f"{indent}{name} {{\n{_lines(value.body, indent + '  ')}{indent}}}\n"
        else:
            text += f"{indent}{name} = {_value(value, indent)}\n"
    return text


def _value(value: Any, indent: str) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Mapping):
        inner = indent + "  "
        pairs = [f"{inner}{_value(k, '')} = {_value(v, inner)}\n" for k, v in value.items()]
        return f"{{\n{''.join(pairs)}{indent}}}"
    if isinstance(value, list):
        return f"[{', '.join(_value(one, indent) for one in value)}]"
    # JSON's strings are HCL's, but for its templates.
    return json.dumps(value).replace("${", "$${").replace("%{", "%%{")
