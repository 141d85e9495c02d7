"""Reads what the checks judge: each function, gateway and endpoint once in a run.

Nothing is changed. What cannot be read is a fact too, with its reason.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from streams.access.addresses import address_policy
from streams.aws.account import Account
from streams.aws.failures import ControlError, MissingError, UnavailableError
from streams.aws.functions import Function
from streams.aws.gateways import HttpIntegration, RestIntegration
from streams.doctor import asking
from streams.doctor.broker import broker_answers
from streams.doctor.facts import (
    Answer,
    EndpointFacts,
    FunctionFacts,
    GatewayFacts,
    PortalFacts,
    SecretFacts,
    Subject,
    Unread,
)
from streams.models import (
    Auth,
    Channel,
    DriftCheck,
    Endpoint,
    Gateway,
    Kind,
    Notice,
    Rotation,
    Secret,
    SecretFunction,
    SecretVersion,
)
from streams.models.fields import UndecryptableError
from streams.rotation.parts import calls, own_region
from streams.rotation.probing import Verdict, asker
from streams.rotation.problems import UnfitError

T = TypeVar("T")

# Seconds until AWS is asked once more, and at most where it says how long.
AGAIN = 0.5
PATIENCE = 5.0
_LATE = Unread("The time of this run was up before it could be read.")


@dataclass
class Gatherer:
    """Facts for one run, which ends at `deadline` (`time.monotonic`). `say` hears of progress."""

    account: Account
    deadline: float
    say: Callable[[str], None]
    # One that is looked at as it is here, and may be stored otherwise or not at all.
    draft: Endpoint | None = None
    _secrets: dict[int, SecretFacts] = field(default_factory=dict)
    _functions: dict[int, tuple[FunctionFacts, ...]] = field(default_factory=dict)

    def subjects(self, endpoints: list[Endpoint] | None) -> Iterator[Subject]:
        """These endpoints and all that they hang on; None: all that is registered."""
        if endpoints is None:
            chosen = list(Endpoint.objects.select_related("secret").order_by("slug"))
            secrets = list(Secret.objects.order_by("pk"))
        else:
            chosen, secrets = endpoints, self._secrets_of(endpoints)
        for secret in secrets:
            yield from self._around(secret)
        for number, endpoint in enumerate(chosen, start=1):
            self.say(f"endpoint {endpoint.slug} ({number} of {len(chosen)})")
            facts = self._endpoint(endpoint)
            if endpoint.kind == Kind.LAMBDA:
                yield from facts.functions
            yield facts

    def rest(self) -> Iterator[Subject]:
        """Secrets that no endpoint hangs on, and those with a gateway of that kind."""
        hung_on = reached()
        for secret in Secret.objects.order_by("pk"):
            around = {f"secret {secret.name}", *(f"gateway {one.pk}" for one in _gateways(secret))}
            if not around <= hung_on:
                yield from self._around(secret)

    def _around(self, secret: Secret) -> Iterator[Subject]:
        """What checks and sends it."""
        before = self._secret(secret)
        self.say(f"secret {secret.name}")
        facts: list[FunctionFacts | GatewayFacts] = [*self.functions(secret)]
        facts += [self._gateway(gateway) for gateway in _gateways(secret)]
        # A rotation that began meanwhile explains what was seen.
        if secret.is_rotating() or _value(secret) != before.value:
            moving = replace(before, rotating=True)
            facts = [replace(one, secret=moving) for one in facts]
        yield from facts

    def functions(self, secret: Secret) -> tuple[FunctionFacts, ...]:
        """The function that checks it, or both aliases of a pair; none where none is registered."""
        if secret.pk not in self._functions:
            row = SecretFunction.objects.filter(secret=secret).first()
            names = (row.aliases or [row.alias]) if row else []
            self._functions[secret.pk] = tuple(
                self._function_of(secret, row, alias) for alias in names if row
            )
        return self._functions[secret.pk]

    def _secrets_of(self, endpoints: list[Endpoint]) -> list[Secret]:
        found = {one.secret.pk: one.secret for one in endpoints if one.secret}
        for endpoint in endpoints:
            if gateway := self._gateway_of(endpoint):
                found[gateway.secret.pk] = gateway.secret
        return [found[pk] for pk in sorted(found)]

    def _gateway_of(self, endpoint: Endpoint) -> Gateway | None:
        if endpoint.kind != Kind.GATEWAY:
            return None
        return Gateway.objects.select_related("secret").filter(url=endpoint.url).first()

    def _secret(self, secret: Secret) -> SecretFacts:
        if secret.pk not in self._secrets:
            value = _value(secret)
            self._secrets[secret.pk] = SecretFacts(
                secret.name, secret.header, value, secret.is_rotating()
            )
        return self._secrets[secret.pk]

    def _function_of(self, secret: Secret, row: SecretFunction, alias: str) -> FunctionFacts:
        current = secret.versions.filter(state=SecretVersion.State.CURRENT).defer("value").first()
        in_use = current.alias if current else ""
        auths = self._url_auths(secret)
        return self._function(
            row,
            row.name,
            alias,
            about=frozenset({f"secret {secret.name}"}),
            secret_name=secret.name,
            secret=self._secret(secret),
            variable=row.variable,
            holds=not row.aliases or alias == in_use,
            paired=bool(row.aliases),
            url_auth=_url_auth(secret, auths),
            streams=bool(auths),
        )

    def _url_auths(self, secret: Secret) -> set[str]:
        """How the endpoints that call its URL prove themselves."""
        calling, draft = secret.endpoints.filter(kind=Kind.FUNCTION_URL), self.draft
        if draft is None:
            return set(calling.values_list("auth", flat=True))
        others = set(calling.exclude(pk=draft.pk).values_list("auth", flat=True))
        calls_it = draft.kind == Kind.FUNCTION_URL and draft.secret == secret
        return others | ({draft.auth} if calls_it else set())

    def _function(
        self, row: SecretFunction, name: str, alias: str, *, about: frozenset[str], **known: Any
    ) -> FunctionFacts:
        told = f"alias {alias} of the function {name}" if alias else f"function {name}"
        known |= {"name": told, "about": about, "function": name, "qualifier": alias}
        try:
            known["region"] = row.region or own_region()
        except UnfitError as exc:
            return FunctionFacts(**known, **_unread(Unread(str(exc))))
        function = Function(calls(self.account, row, self._guard), name)
        latest = self._read(function.read)
        if isinstance(latest, Unread):
            why = Unread(f"There is no {told}.") if latest.missing else latest
            return FunctionFacts(**known, **_unread(why) | {"latest": latest})
        pointing = self._read(lambda: function.alias(alias)) if alias else None
        if isinstance(pointing, Unread):
            why = Unread(f"There is no {told}.") if pointing.missing else pointing
            return FunctionFacts(**known, **_unread(why) | {"latest": latest, "alias": pointing})
        return FunctionFacts(
            **known,
            latest=latest,
            alias=pointing,
            served=self._read(lambda: function.read(alias)) if alias else latest,
            url=self._read(lambda: function.url(alias)) if known.get("url_auth") else None,
            statements=self._read(lambda: tuple(function.statements(alias))),
        )

    def _gateway(self, row: Gateway) -> GatewayFacts:
        about, secret = f"gateway {row.pk}", f"secret {row.secret.name}"
        known: dict[str, Any] = {
            "name": str(row),
            "about": frozenset({about}),
            "depends": frozenset({about, secret}),
            "secret_name": row.secret.name,
            "secret": self._secret(row.secret),
            "type": row.type,
            "where": _where(row),
            "function_urls": self._urls(row.secret),
        }
        try:
            known["region"] = row.region or own_region()
        except UnfitError as exc:
            why = Unread(str(exc))
            return GatewayFacts(**known, saved=why, deployed=why, canary=why, deployment=why)
        integration = self._integration(row)
        saved = self._read(integration.saved)
        if isinstance(saved, Unread):
            why = Unread("There is no such integration.") if saved.missing else saved
            return GatewayFacts(
                **known, saved=saved, deployed=why, canary=why, deployment=why,
                through=self._through(row),
            )  # fmt: skip
        return GatewayFacts(
            **known,
            saved=saved,
            deployed=self._read(integration.deployed),
            canary=self._read(integration.canary),
            deployment=self._read(integration.deployment),
            through=self._through(row),
        )

    def _integration(self, row: Gateway) -> RestIntegration | HttpIntegration:
        of_gateway, header = calls(self.account, row, self._guard), row.secret.header
        if row.type == Gateway.Type.REST:
            return RestIntegration(
                of_gateway, row.api_id, row.resource_id, row.method, row.stage, header
            )
        return HttpIntegration(of_gateway, row.api_id, row.integration_id, row.stage, header)

    def _through(self, row: Gateway) -> Verdict | Unread | None:
        if not row.url:
            return None
        return self._timely(lambda: asker(address_policy())(row.url, {}))

    def _urls(self, secret: Secret) -> tuple[str, ...] | Unread:
        urls = []
        for function in self.functions(secret):
            if isinstance(function.url, Unread):
                return function.url
            urls += [function.url.url] if function.url else []
        return tuple(urls)

    def _endpoint(self, endpoint: Endpoint) -> EndpointFacts:
        own = frozenset({f"endpoint {endpoint.slug}"})
        gateway = self._gateway_of(endpoint)
        secret = endpoint.secret or (gateway.secret if gateway else None)
        functions = self._functions_of(endpoint)
        depends = own.union(
            [f"secret {secret.name}"] if secret else [],
            [f"gateway {gateway.pk}"] if gateway else [],
            *(function.about for function in functions),
        )
        return EndpointFacts(
            name=f"endpoint {endpoint.slug}",
            about=own,
            depends=depends,
            endpoint=endpoint.slug,
            secret_name=secret.name if secret else "",
            kind=endpoint.kind,
            url=endpoint.url,
            compressed=endpoint.keep_gzip,
            segment=(endpoint.segments or {}).get("size"),
            secret=self._secret(secret) if secret else None,
            functions=functions,
            right=self._right(endpoint),
            wrong=self._timely(lambda: asking.wrong(endpoint, self.account))
            if endpoint.secret
            else None,
        )

    def _functions_of(self, endpoint: Endpoint) -> tuple[FunctionFacts, ...]:
        """Those that a download calls."""
        if endpoint.kind == Kind.FUNCTION_URL and endpoint.secret:
            return self.functions(endpoint.secret)
        if endpoint.kind != Kind.LAMBDA:
            return ()
        name, alias = _split(endpoint.function)
        row = SecretFunction(region=endpoint.region, role_arn=endpoint.role_arn)
        about = frozenset({f"function of {endpoint.slug}"})
        return (self._function(row, name, alias, about=about, endpoint=endpoint.slug),)

    def _right(self, endpoint: Endpoint) -> Answer | Unread:
        try:
            return self._timely(lambda: asking.right(endpoint, self.account))
        except UndecryptableError as exc:
            return Unread(str(exc))

    def _read(self, call: Callable[[], T]) -> T | Unread:
        """What AWS says; it is asked once more where the fault may pass."""
        for last in (False, True):
            try:
                return call()
            except ControlError as exc:
                if last or not exc.passing or self._is_late():
                    return Unread(str(exc), missing=isinstance(exc, MissingError))
                time.sleep(min(exc.retry_after or AGAIN, PATIENCE))
        raise AssertionError("unreachable")

    def _timely(self, ask: Callable[[], T]) -> T | Unread:
        return _LATE if self._is_late() else ask()

    def _is_late(self) -> bool:
        return time.monotonic() > self.deadline

    def _guard(self) -> None:
        """Called before each call of AWS."""
        if self._is_late():
            raise UnavailableError(aws_code="TimeIsUp")


def reached() -> frozenset[str]:
    """What endpoints hang on, as `Subject.about` names it: secrets, and gateways by their URL."""
    urls = Endpoint.objects.filter(kind=Kind.GATEWAY).values("url")
    gateways = Gateway.objects.filter(url__in=urls).values_list("pk", "secret__name")
    secrets = Secret.objects.filter(endpoints__isnull=False).values_list("name", flat=True)
    names = {*secrets, *(secret for _, secret in gateways)}
    return frozenset([f"secret {name}" for name in names] + [f"gateway {pk}" for pk, _ in gateways])


def portal() -> PortalFacts:
    """What is found out about this installation."""
    return PortalFacts(
        name="portal",
        about=frozenset({"portal"}),
        undecryptable=tuple(_undecryptable()),
        broker=broker_answers(),
        waiting=_waiting(),
        debug=settings.DEBUG,
        hosts=tuple(settings.ALLOWED_HOSTS),
        base_host=urlsplit(settings.BASE_URL).hostname or "",
    )


def _undecryptable() -> Iterator[str]:
    versions = SecretVersion.objects.order_by("pk").values_list("pk", "secret__name", "number")
    for pk, secret, number in versions:
        if not _decrypts(SecretVersion.objects.filter(pk=pk)):
            yield f"{secret} version {number}"
    for pk, name in Channel.objects.order_by("pk").values_list("pk", "name"):
        if not _decrypts(Channel.objects.filter(pk=pk)):
            yield f"the key of channel {name}"


def _decrypts(rows: QuerySet[Any]) -> bool:
    try:
        list(rows)
    except UndecryptableError:
        return False
    return True


def _waiting() -> float:
    """Seconds for which the oldest work has been due that nobody has taken."""
    longest = 0.0
    for due in (Rotation.objects.due(), DriftCheck.objects.due(), Notice.objects.due()):
        found = due.order_by("due_at").annotate(now=Now()).values_list("due_at", "now").first()
        if found:
            since, now = found
            assert isinstance(now, datetime)
            longest = max(longest, (now - since).total_seconds())
    return longest


def _gateways(secret: Secret) -> list[Gateway]:
    return list(secret.gateways.select_related("secret").order_by("pk"))


def _value(secret: Secret) -> str | Unread:
    try:
        current = secret.versions.filter(state=SecretVersion.State.CURRENT).first()
    except UndecryptableError as exc:
        return Unread(str(exc))
    if current is None:
        return Unread(f"The secret {secret.name} has no value yet.", missing=True)
    return current.value


def _url_auth(secret: Secret, auths: set[str]) -> str:
    """What the URL of its function is expected to ask for; empty where it needs none."""
    if Auth.SECRET_HEADER in auths:
        return "NONE"
    if Auth.SIGV4 in auths:
        return "AWS_IAM"
    # A gateway cannot sign.
    return "NONE" if secret.gateways.exists() else ""


def _where(row: Gateway) -> dict[str, str]:
    named = {
        "api_id": row.api_id,
        "resource_id": row.resource_id,
        "method": row.method,
        "integration_id": row.integration_id,
        "stage": row.stage,
    }
    return {name: held for name, held in named.items() if held}


def _split(function: str) -> tuple[str, str]:
    """Name or ARN, and the alias behind it; empty where there is none."""
    parts = function.split(":")
    if len(parts) in (2, 8):
        return ":".join(parts[:-1]), parts[-1]
    return function, ""


def _unread(why: Unread) -> dict[str, Any]:
    return {"latest": why, "served": why, "alias": why, "url": why, "statements": why}
