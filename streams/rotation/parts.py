"""What the steps of a stored rotation work on, made from its secret's registry entry."""

from collections.abc import Callable

import botocore.session

from streams.access.addresses import address_policy
from streams.aws.account import Account
from streams.aws.calls import Calls
from streams.aws.functions import Function
from streams.aws.gateways import HttpIntegration, RestIntegration
from streams.models import Endpoint, Gateway, Secret, SecretFunction
from streams.rotation import pace
from streams.rotation.environment import FunctionEnvironment
from streams.rotation.plan import Parts
from streams.rotation.probing import Ask, Probe, asker
from streams.rotation.problems import UnfitError
from streams.rotation.senders import GatewaySender
from streams.rotation.steps import Versions

# Called before each call of AWS; raises where there must be none.
Guard = Callable[[], None]


def parts(secret: Secret, versions: Versions, account: Account, guard: Guard) -> Parts:
    """Raises `UnfitError` where the secret has no function, or nothing to ask it by."""
    checked_by = SecretFunction.objects.filter(secret=secret).first()
    if checked_by is None:
        raise UnfitError(f"The secret {secret.name} names no function that checks it.")
    function = Function(_calls(account, checked_by, guard), checked_by.name)
    ask = asker(address_policy())
    return Parts(
        environment=FunctionEnvironment(function, checked_by.variable, checked_by.alias),
        gateways=[_sender(account, gateway, guard, ask) for gateway in _gateways(secret)],
        probe=Probe(ask, _url(secret, function, checked_by.alias), secret.header),
        versions=versions,
    )


def _gateways(secret: Secret) -> list[Gateway]:
    return list(secret.gateways.select_related("secret").order_by("pk"))


def _calls(account: Account, place: SecretFunction | Gateway, guard: Guard) -> Calls:
    region = place.region or default_region()

    def before(operation: str) -> None:
        pace.take(*_bucket(place, region, operation))
        guard()

    return Calls(account, region, place.role_arn, before)


def _bucket(place: SecretFunction | Gateway, region: str, operation: str) -> tuple[str, pace.Rate]:
    # A role stands for an account: nothing here knows two roles of one.
    where = f"{place.role_arn or 'own'} {region}"
    if isinstance(place, SecretFunction):
        return f"{where} lambda", pace.LAMBDA
    if operation == "CreateDeployment":
        return f"{where} deployment", pace.DEPLOYMENT
    return f"{where} apigateway", pace.GATEWAY


def default_region() -> str:
    """The region that boto3 itself would use. Raises `UnfitError` where there is none."""
    region = botocore.session.get_session().get_config_variable("region")
    if not region:
        raise UnfitError("No region is given, neither in the registry nor by AWS_REGION.")
    return str(region)


def _sender(account: Account, gateway: Gateway, guard: Guard, ask: Ask) -> GatewaySender:
    calls = _calls(account, gateway, guard)
    header = gateway.secret.header
    integration: RestIntegration | HttpIntegration
    if gateway.type == Gateway.Type.REST:
        integration = RestIntegration(
            calls, gateway.api_id, gateway.resource_id, gateway.method, gateway.stage, header
        )
    else:
        integration = HttpIntegration(
            calls, gateway.api_id, gateway.integration_id, gateway.stage, header
        )
    probe = Probe(ask, gateway.url) if gateway.url else None
    return GatewaySender(f"gateway {gateway.pk}", str(gateway), integration, probe)


def _url(secret: Secret, function: Function, alias: str) -> str:
    """Where the function can be asked directly."""
    endpoints = Endpoint.objects.filter(secret=secret, kind="function-url").exclude(url="")
    known = endpoints.order_by("pk").values_list("url", flat=True).first()
    url = known or function.url(alias)
    if not url:
        raise UnfitError("The function has no URL by which it could be asked what it accepts.")
    return url
