"""What exists in AWS of what the registry names: gathered once, for whatever form it is told in.

No value of a secret is among it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streams.aws.account import Account
from streams.aws.apis import HttpApi, RestApi
from streams.aws.functions import Function, Statement, UrlConfig
from streams.aws.gateways import HttpIntegration, Parameter, RestIntegration
from streams.models import Gateway, Secret, SecretFunction
from streams.rotation.parts import calls, own_region


@dataclass(frozen=True)
class Place:
    """Where something is: a region, and the role to see it with."""

    region: str
    role_arn: str = ""


@dataclass(frozen=True)
class FunctionFacts:
    """A function, or one alias of it, as it is called. `version` is that of the alias."""

    secret: str
    place: Place
    name: str
    arn: str
    alias: str
    version: str
    url: UrlConfig | None
    # By the ids that they have in the policy.
    statements: Mapping[str, Statement]


@dataclass(frozen=True)
class RestFacts:
    """One method of a REST API. `integration` is as AWS tells it, without parameters."""

    secret: str
    place: Place
    api_id: str
    resource_id: str
    parent_id: str
    path_part: str
    method: str
    authorization: str
    integration: Mapping[str, Any]
    header: str
    parameters: list[Parameter]


@dataclass(frozen=True)
class HttpFacts:
    """One integration of an HTTP API, and the keys of the routes to it by their ids."""

    secret: str
    place: Place
    api_id: str
    integration_id: str
    integration: Mapping[str, Any]
    routes: Mapping[str, str]
    header: str
    parameters: list[Parameter]


Fact = FunctionFacts | RestFacts | HttpFacts


def gather(secrets: Iterable[Secret], account: Account) -> list[Fact]:
    """Reads AWS. Raises a `ControlError` for what the registry names and AWS does not have."""
    return [fact for secret in secrets for fact in _of(secret, account)]


def _of(secret: Secret, account: Account) -> Iterator[Fact]:
    row = SecretFunction.objects.filter(secret=secret).first()
    if row is not None:
        function = Function(calls(account, row, _unguarded), row.name)
        for alias in row.aliases or [row.alias]:
            yield _function(secret, row, function, alias)
    for gateway in secret.gateways.order_by("pk"):
        if gateway.type == Gateway.Type.REST:
            yield _rest(gateway, account)
        else:
            yield _http(gateway, account)


def _unguarded() -> None:
    """Reading needs no leave."""


def _place(row: SecretFunction | Gateway) -> Place:
    return Place(row.region or own_region(), row.role_arn)


def _function(secret: Secret, row: SecretFunction, function: Function, alias: str) -> FunctionFacts:
    return FunctionFacts(
        secret=secret.name,
        place=_place(row),
        name=row.name.rpartition(":function:")[2],
        arn=function.read().arn,
        alias=alias,
        version=function.alias(alias).version if alias else "",
        url=function.url(alias),
        statements=function.public_statements(alias),
    )


def _rest(row: Gateway, account: Account) -> RestFacts:
    of_gateway = calls(account, row, _unguarded)
    header = row.secret.header
    integration = RestIntegration(
        of_gateway, row.api_id, row.resource_id, row.method, row.stage, header
    )
    # Raises, where what is registered is not there any more.
    raw = integration.raw()
    resources = {one.id: one for one in RestApi(of_gateway, row.api_id).resources().values()}
    resource = resources[row.resource_id]
    parent, _, part = resource.path.rpartition("/")
    parents = {one.path: one.id for one in resources.values()}
    return RestFacts(
        secret=row.secret.name,
        place=_place(row),
        api_id=row.api_id,
        resource_id=row.resource_id,
        parent_id=parents[parent or "/"],
        path_part=part,
        method=row.method,
        authorization=str(resource.methods[row.method].get("authorizationType", "NONE")),
        integration=_without(raw, "requestParameters"),
        header=header,
        parameters=integration.parameters(),
    )


def _http(row: Gateway, account: Account) -> HttpFacts:
    of_gateway = calls(account, row, _unguarded)
    header = row.secret.header
    integration = HttpIntegration(of_gateway, row.api_id, row.integration_id, row.stage, header)
    routes = {
        str(route["RouteId"]): str(route["RouteKey"])
        for route in HttpApi(of_gateway, row.api_id).routes()
        if route.get("Target") == f"integrations/{row.integration_id}"
    }
    return HttpFacts(
        secret=row.secret.name,
        place=_place(row),
        api_id=row.api_id,
        integration_id=row.integration_id,
        integration=_without(integration.raw(), "RequestParameters"),
        routes=routes,
        header=header,
        parameters=integration.parameters(),
    )


def _without(integration: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: held for key, held in integration.items() if key != name}
