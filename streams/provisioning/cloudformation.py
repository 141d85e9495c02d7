"""What exists, as CloudFormation takes it over: a template, and what a change set is to import."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.provisioning.facts import Fact, FunctionFacts, HttpFacts, RestFacts
from streams.provisioning.naming import Names
from streams.provisioning.problems import UnfitError

_DESCRIPTION = (
    "Made by Spillway of what exists. Metadata.ResourcesToImport is for a change set of type "
    "IMPORT. Give the parameters the values of now: Spillway rotates them later."
)


def render(facts: Sequence[Fact]) -> str:
    """JSON, without the value of any secret. Raises `UnfitError` for several places."""
    if len({fact.place for fact in facts}) > 1:
        raise UnfitError(
            "A stack is in one region of one account, and the registry has several. "
            "Choose with --secret or --region."
        )
    template = _Template()
    for fact in facts:
        template.add(fact)
    return json.dumps(template.as_told(), indent=2) + "\n"


@dataclass
class _Template:
    names: Names = field(default_factory=lambda: Names(camel=True))
    parameters: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    imports: list[dict[str, Any]] = field(default_factory=list)

    def as_told(self) -> dict[str, Any]:
        return {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": _DESCRIPTION,
            "Metadata": {"ResourcesToImport": self.imports},
            "Parameters": self.parameters,
            "Resources": self.resources,
        }

    def add(self, fact: Fact) -> None:
        if isinstance(fact, FunctionFacts):
            self._function(fact)
        elif isinstance(fact, RestFacts):
            self._rest(fact)
        else:
            self._http(fact)

    def _resource(
        self, name: str, kind: str, identity: dict[str, str], properties: dict[str, Any]
    ) -> None:
        self.resources[name] = {
            "Type": kind,
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": properties,
        }
        self.imports.append(
            {"ResourceType": kind, "LogicalResourceId": name, "ResourceIdentifier": identity}
        )

    def _function(self, fact: FunctionFacts) -> None:
        qualified = f"{fact.arn}:{fact.alias}" if fact.alias else fact.arn
        if fact.alias:
            self._resource(
                self.names(fact.secret, fact.alias, "alias"),
                "AWS::Lambda::Alias",
                {"AliasArn": qualified},
                {
                    "FunctionName": fact.name,
                    "Name": fact.alias,
                    "FunctionVersion": fact.version,
                },
            )
        if fact.url is not None:
            which = {"Qualifier": fact.alias} if fact.alias else {}
            cors = {"Cors": dict(fact.url.cors)} if fact.url.cors else {}
            self._resource(
                self.names(fact.secret, fact.alias, "url"),
                "AWS::Lambda::Url",
                {"FunctionArn": qualified},
                {
                    "TargetFunctionArn": fact.arn,
                    "AuthType": fact.url.auth_type,
                    "InvokeMode": fact.url.invoke_mode,
                }
                | which
                | cors,
            )
        for identity, statement in fact.statements.items():
            self._resource(
                self.names(fact.secret, fact.alias, identity),
                "AWS::Lambda::Permission",
                {"FunctionName": qualified, "Id": identity},
                {"FunctionName": qualified, "Action": statement.action, "Principal": "*"}
                | dict(statement.argument),
            )

    def _rest(self, fact: RestFacts) -> None:
        where = {"RestApiId": fact.api_id, "ResourceId": fact.resource_id}
        resource = self.names(fact.api_id, fact.resource_id)
        if resource not in self.resources:
            self._resource(
                resource,
                "AWS::ApiGateway::Resource",
                where,
                {
                    "RestApiId": fact.api_id,
                    "ParentId": fact.parent_id,
                    "PathPart": fact.path_part,
                },
            )
        held = fact.integration
        self._resource(
            self.names(fact.secret, fact.api_id, fact.resource_id, fact.method),
            "AWS::ApiGateway::Method",
            where | {"HttpMethod": fact.method},
            {
                "RestApiId": fact.api_id,
                "ResourceId": {"Ref": resource},
                "HttpMethod": fact.method,
                "AuthorizationType": fact.authorization,
                "Integration": {
                    "Type": held.get("type", "HTTP_PROXY"),
                    "IntegrationHttpMethod": held.get("httpMethod", fact.method),
                    "Uri": held.get("uri", ""),
                    "TimeoutInMillis": held.get("timeoutInMillis", 29000),
                    "ResponseTransferMode": held.get("responseTransferMode", "BUFFERED"),
                    "RequestParameters": self._parameters(fact),
                },
            },
        )

    def _http(self, fact: HttpFacts) -> None:
        name = self.names(fact.secret, fact.api_id, fact.integration_id)
        held = fact.integration
        self._resource(
            name,
            "AWS::ApiGatewayV2::Integration",
            {"ApiId": fact.api_id, "IntegrationId": fact.integration_id},
            {
                "ApiId": fact.api_id,
                "IntegrationType": held.get("IntegrationType", "HTTP_PROXY"),
                "IntegrationMethod": held.get("IntegrationMethod", "GET"),
                "IntegrationUri": held.get("IntegrationUri", ""),
                "PayloadFormatVersion": held.get("PayloadFormatVersion", "1.0"),
                "RequestParameters": self._parameters(fact),
            },
        )
        for identity, key in fact.routes.items():
            self._resource(
                self.names(fact.secret, fact.api_id, key),
                "AWS::ApiGatewayV2::Route",
                {"ApiId": fact.api_id, "RouteId": identity},
                {
                    "ApiId": fact.api_id,
                    "RouteKey": key,
                    "Target": {"Fn::Sub": f"integrations/${{{name}}}"},
                },
            )

    def _parameters(self, fact: RestFacts | HttpFacts) -> dict[str, Any]:
        """Each value is a parameter: those of other headers may be secrets as well."""
        found: dict[str, Any] = {}
        for one in fact.parameters:
            if one.expression:
                found[one.name] = one.expression
                continue
            ours = one.name.lower().endswith(f".{fact.header}".lower())
            words = (fact.secret, "value") if ours else (fact.secret, fact.api_id, one.name)
            name = self.names(*words)
            self.parameters[name] = {"Type": "String", "NoEcho": True}
            found[one.name] = {"Fn::Sub": f"{one.quote}${{{name}}}{one.quote}"}
        return found
