"""What the steps of a stored rotation work on, made from its secret's registry entry."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from streams.access.addresses import address_policy
from streams.aws.account import Account, default_region
from streams.aws.calls import Calls
from streams.aws.functions import Function
from streams.aws.gateways import HttpIntegration, RestIntegration
from streams.aws.secretsmanager import StoredSecret
from streams.models import Auth, Endpoint, Gateway, Kind, Secret, SecretFunction
from streams.models.secrets import StoredAt
from streams.rotation import pace
from streams.rotation.environment import FunctionEnvironment
from streams.rotation.pair import AliasPair
from streams.rotation.plan import PairParts, Parts
from streams.rotation.probing import Ask, Probe, Verdict, asker
from streams.rotation.problems import UnfitError
from streams.rotation.senders import GatewaySender
from streams.rotation.steps import Versions
from streams.rotation.store import StoreSender

# Called before each call of AWS, and each probe; raises where there must be none.
Guard = Callable[[], None]
Place = SecretFunction | Gateway | StoredAt


def parts(
    secret: Secret, versions: Versions, account: Account, guard: Guard, *, in_use: str
) -> Parts | PairParts:
    """`in_use` is the alias of the current value, if a rotation has told.

    Raises `UnfitError` where the secret has no function, or nothing to ask it by.
    """
    checked_by = _checked_by(secret)
    function = function_of(secret, account, guard)
    ask = asking(guard)
    gateways = [_sender(account, gateway, guard, ask) for gateway in _gateways(secret)]
    if checked_by.aliases:
        pair = AliasPair(
            function, checked_by.variable, tuple(checked_by.aliases), ask, secret.header, in_use,
            _callers(secret),
        )  # fmt: skip
        senders = [replace(gateway, places=pair) for gateway in gateways]
        return PairParts(pair, senders, versions)
    return Parts(
        environment=FunctionEnvironment(function, checked_by.variable, checked_by.alias),
        gateways=gateways,
        probes=list(_probes(secret, function, checked_by.alias, ask)),
        versions=versions,
        store=_store(secret, versions, account, guard),
    )


def function_of(secret: Secret, account: Account, guard: Guard) -> Function:
    """The one that checks it. Raises `UnfitError` where there is none."""
    checked_by = _checked_by(secret)
    return Function(calls(account, checked_by, guard), checked_by.name)


def _checked_by(secret: Secret) -> SecretFunction:
    found = SecretFunction.objects.filter(secret=secret).first()
    if found is None:
        raise UnfitError(f"The secret {secret.name} names no function that checks it.")
    return found


def asking(guard: Guard) -> Ask:
    """Asks within the lease: a function may take its time over each of a dozen requests."""
    ask = asker(address_policy())

    def asked(url: str, fields: dict[str, str]) -> Verdict:
        guard()
        return ask(url, fields)

    return asked


def stored_secret(secret: Secret, account: Account, guard: Guard) -> StoredSecret | None:
    """Where its value stands besides our database; None where it stands there alone."""
    place = secret.stored_at()
    return StoredSecret(calls(account, place, guard), place.id) if place else None


def _store(
    secret: Secret, versions: Versions, account: Account, guard: Guard
) -> StoreSender | None:
    stored = stored_secret(secret, account, guard)
    return StoreSender(stored, versions) if stored else None


def _gateways(secret: Secret) -> list[Gateway]:
    return list(secret.gateways.select_related("secret").order_by("pk"))


def calls(account: Account, place: Place, guard: Guard) -> Calls:
    """Calls where `place` is, within AWS's limits for the account and region."""
    region = place.region or own_region()

    def before(operation: str) -> None:
        pace.take(*_bucket(place, region, operation))
        guard()

    def throttled(operation: str, seconds: float) -> None:
        pace.rest(*_bucket(place, region, operation), seconds)

    return Calls(account, region, place.role_arn, before, throttled)


def _bucket(place: Place, region: str, operation: str) -> tuple[str, pace.Rate]:
    where = f"{account_of(place.role_arn)} {region}"
    if isinstance(place, SecretFunction):
        return f"{where} lambda", pace.LAMBDA
    if isinstance(place, StoredAt):
        return f"{where} secretsmanager", pace.SECRETS
    if operation == "CreateDeployment":
        return f"{where} deployment", pace.DEPLOYMENT
    return f"{where} apigateway", pace.GATEWAY


def account_of(role_arn: str) -> str:
    """The number of a role's account, since AWS limits all of its roles together.

    Of this process's own account nothing here tells the number: it is `own`.
    """
    return role_arn.split(":")[4] if role_arn.count(":") >= 5 else "own"


def own_region() -> str:
    """The region that boto3 itself would use. Raises `UnfitError` where there is none."""
    region = default_region()
    if not region:
        raise UnfitError("No region is given, neither in the registry nor by AWS_REGION.")
    return region


def _sender(account: Account, gateway: Gateway, guard: Guard, ask: Ask) -> GatewaySender:
    of_gateway = calls(account, gateway, guard)
    header = gateway.secret.header
    integration: RestIntegration | HttpIntegration
    if gateway.type == Gateway.Type.REST:
        integration = RestIntegration(
            of_gateway, gateway.api_id, gateway.resource_id, gateway.method, gateway.stage, header
        )
    else:
        integration = HttpIntegration(
            of_gateway, gateway.api_id, gateway.integration_id, gateway.stage, header
        )
    probe = Probe(ask, gateway.url) if gateway.url else None
    return GatewaySender(f"gateway {gateway.pk}", str(gateway), integration, probe)


def _callers(secret: Secret) -> list[str]:
    """The URLs, and the functions with their aliases, that endpoints call with this secret."""
    called = Endpoint.objects.filter(secret=secret, kind__in=[Kind.FUNCTION_URL, Kind.LAMBDA])
    return [endpoint.url or endpoint.function for endpoint in called.order_by("pk")]


def origins(secret: Secret, ask: Ask) -> Iterator[Probe]:
    """Those that are registered with this secret."""
    # What wants a signature besides would refuse us whatever we present.
    called = Endpoint.objects.filter(secret=secret, auth=Auth.SECRET_HEADER).order_by("pk")
    urls = {endpoint.url: endpoint for endpoint in reversed(called)}
    for url, endpoint in urls.items():
        yield Probe(ask, url, secret.header, f"The origin of {endpoint.slug}")


def _probes(secret: Secret, function: Function, alias: str, ask: Ask) -> Iterator[Probe]:
    """Whoever is to accept this secret: each is asked, since another function might be among them.

    Raises `UnfitError` where nobody can be.
    """
    if known := list(origins(secret, ask)):
        yield from known
        return
    config = function.url(alias)
    if config is None or config.auth_type != "NONE":
        raise UnfitError(
            "The function has no URL of auth type NONE by which it could be asked what it accepts."
        )
    yield Probe(ask, config.url, secret.header)
