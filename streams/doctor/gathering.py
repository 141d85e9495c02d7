"""Reads what the checks judge: each function, gateway and endpoint once in a run.

Nothing is changed. What cannot be read is a fact too, with its reason.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from streams.aws.account import Account
from streams.aws.caller import Caller
from streams.doctor import accounts, asking, identities, rotations
from streams.doctor.asking import Answers
from streams.doctor.facts import (
    AccountFacts,
    EndpointFacts,
    FunctionFacts,
    GatewayFacts,
    SecretFacts,
    Subject,
    Unread,
)
from streams.doctor.functions import Functions, nameless
from streams.doctor.gateways import Gateways
from streams.doctor.needs import Registered
from streams.doctor.reader import Reader
from streams.models import (
    Auth,
    Download,
    Endpoint,
    Gateway,
    Kind,
    Secret,
    SecretFunction,
    SecretVersion,
)
from streams.models.fields import UndecryptableError
from streams.net.errors import GatewayLimitError

# So many of an export's last downloads tell how long its origin takes.
RECENT = 20


@dataclass
class Gatherer:
    """Facts for one run, which ends at `deadline` (`time.monotonic`). `say` hears of progress.

    `web`: the portal's own identity is judged as that of its web process.
    """

    account: Account
    deadline: float
    say: Callable[[str], None]
    web: bool = False
    # One that is looked at as it is here, and may be stored otherwise or not at all.
    draft: Endpoint | None = None
    _secrets: dict[int, SecretFacts] = field(default_factory=dict)
    # By role; empty: the portal's own identity.
    _callers: dict[str, Caller | Unread] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reader = Reader(self.account, self.deadline)
        self._functions = Functions(self._reader, self.draft)
        self._gateways = Gateways(self._reader)

    def subjects(self, endpoints: list[Endpoint] | None) -> Iterator[Subject]:
        """These endpoints and all that they hang on; None: all that is registered."""
        if endpoints is None:
            chosen = list(Endpoint.objects.select_related("secret").order_by("slug"))
            secrets = list(Secret.objects.order_by("pk"))
        else:
            chosen, secrets = endpoints, self._secrets_of(endpoints)
        yield from self._of(chosen, secrets)
        yield from self._identities(secrets, chosen)

    def of_endpoint(self, endpoint: Endpoint) -> Iterator[Subject]:
        """This one and all that it hangs on, but not what the portal's identities may do."""
        yield from self._of([endpoint], self._secrets_of([endpoint]))

    def rest(self) -> Iterator[Subject]:
        """What is no endpoint's own: identities, rotations, and secrets and gateways apart."""
        endpoints = list(Endpoint.objects.select_related("secret").order_by("slug"))
        secrets, hung_on = list(Secret.objects.order_by("pk")), reached()
        yield from self._accounts(secrets, endpoints)
        for secret in secrets:
            gateways = secret.gateways.values_list("pk", flat=True)
            if not {f"secret {secret.name}", *(f"gateway {pk}" for pk in gateways)} <= hung_on:
                yield from self._around(secret)
            elif secret.is_rotating():
                yield from self._rotations(secret)
        yield from self._identities(secrets, endpoints)

    def _of(self, endpoints: list[Endpoint], secrets: list[Secret]) -> Iterator[Subject]:
        yield from self._accounts(secrets, endpoints)
        for secret in secrets:
            yield from self._around(secret)
        yield from self._endpoints(endpoints)

    def _accounts(self, secrets: list[Secret], endpoints: list[Endpoint]) -> Iterator[Subject]:
        """First of all: where an identity is no good, AWS is not asked for each thing in vain."""
        for one in accounts.facts(self._reader, secrets, endpoints):
            if isinstance(one, AccountFacts):
                self._callers[one.role_arn] = one.caller
            yield one

    def _endpoints(self, chosen: list[Endpoint]) -> Iterator[Subject]:
        facts = [self._endpoint(endpoint) for endpoint in chosen]
        for each in facts:
            # Of several exports that invoke one function, the first has it looked at.
            yield from (one for one in each.functions if one.endpoint == each.endpoint)
        told = self._answers(chosen)
        for each in facts:
            answers = told[each.endpoint]
            yield replace(each, right=answers.right, wrong=answers.wrong, object=answers.object)

    def _answers(self, chosen: list[Endpoint]) -> dict[str, Answers]:
        """What each origin answers, by slug; none is asked that we cannot sign for."""
        hindered = {
            endpoint.slug: asking.hindered(endpoint, why)
            for endpoint in chosen
            if (why := self._reader.hindrance(accounts.parts_of(endpoint)))
        }
        asked = [endpoint for endpoint in chosen if endpoint.slug not in hindered]
        told = asking.answers_of(asked, self.account, deadline=self.deadline, say=self.say)
        return hindered | told

    def _identities(self, secrets: list[Secret], chosen: list[Endpoint]) -> Iterator[Subject]:
        registered = Registered(
            functions=list(SecretFunction.objects.filter(secret__in=secrets).order_by("pk")),
            gateways=list(Gateway.objects.filter(secret__in=secrets).order_by("pk")),
            endpoints=chosen,
            web=self.web,
        )
        for role in registered.roles():
            self.say(f"role {role}" if role else "the portal's own identity")
            caller = self._callers.get(role, Unread("Nothing is asked by it."))
            yield identities.facts(role, registered, self._reader, caller)

    def again(self, subject: str, *, secret: str = "", endpoint: str = "") -> Iterator[Subject]:
        """What has this name now, of this endpoint or around this secret; nothing, if none has."""
        around: list[Subject] = []
        for found in Endpoint.objects.select_related("secret").filter(slug=endpoint):
            around += [*self._endpoints([found]), *self._functions_of(found)]
        for held in Secret.objects.filter(name=secret) if not endpoint else ():
            around += self._around(held)
        return (one for one in around if one.name == subject)

    def _around(self, secret: Secret) -> Iterator[Subject]:
        """What checks and sends it."""
        before = self._secret(secret)
        self.say(f"secret {secret.name}")
        functions, gateways = self.functions(secret), self._gateways_of(secret)
        facts: list[FunctionFacts | GatewayFacts] = [*functions, *gateways]
        # A rotation that began meanwhile explains what was seen.
        if secret.is_rotating() or _value(secret) != before.value:
            moving = replace(before, rotating=True)
            facts = [replace(one, secret=moving) for one in facts]
        yield from facts
        yield from self._rotations(secret)

    def _rotations(self, secret: Secret) -> Iterator[Subject]:
        """The one of this secret that is under way, if there is one."""
        functions, gateways = self.functions(secret), self._gateways_of(secret)
        if rotation := rotations.facts(secret, functions, gateways):
            yield rotation

    def functions(self, secret: Secret) -> tuple[FunctionFacts, ...]:
        """The function that checks it, or both aliases of a pair; none where none is registered."""
        return self._functions.of_secret(secret, self._secret(secret))

    def _gateways_of(self, secret: Secret) -> tuple[GatewayFacts, ...]:
        rows = secret.gateways.select_related("secret").order_by("pk")
        return tuple(self._gateway(row) for row in rows)

    def _gateway(self, row: Gateway) -> GatewayFacts:
        return self._gateways.facts(row, self._secret(row.secret), self.functions(row.secret))

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

    def _endpoint(self, endpoint: Endpoint) -> EndpointFacts:
        own = frozenset({f"endpoint {endpoint.slug}"})
        row = self._gateway_of(endpoint)
        gateway = self._gateway(row) if row else None
        secret = endpoint.secret or (row.secret if row else None)
        functions = self._functions_of(endpoint)
        depends = own.union(
            accounts.parts_of(endpoint),
            [f"secret {secret.name}"] if secret else [],
            gateway.about if gateway else [],
            *(function.about for function in functions),
        )
        slowest, given_up = _recent(endpoint)
        return EndpointFacts(
            name=f"endpoint {endpoint.slug}",
            about=own,
            depends=depends,
            endpoint=endpoint.slug,
            secret_name=secret.name if secret else "",
            kind=endpoint.kind,
            url=endpoint.url,
            place=f"{endpoint.bucket}/{endpoint.key}" if endpoint.kind == Kind.S3 else "",
            region=endpoint.region,
            compressed=endpoint.keep_gzip,
            segment=(endpoint.segments or {}).get("size"),
            secret=self._secret(secret) if secret else None,
            functions=functions,
            gateway=gateway,
            public=endpoint.kind == Kind.FUNCTION_URL and endpoint.auth == Auth.NONE,
            slowest=slowest,
            given_up=given_up,
        )

    def _functions_of(self, endpoint: Endpoint) -> tuple[FunctionFacts, ...]:
        """Those that a download calls."""
        if endpoint.kind == Kind.LAMBDA:
            return (self._functions.invoked(endpoint),)
        if endpoint.kind != Kind.FUNCTION_URL:
            return ()
        return self.functions(endpoint.secret) if endpoint.secret else (nameless(endpoint),)


def _recent(endpoint: Endpoint) -> tuple[float | None, bool]:
    """`slowest` and `given_up` of an endpoint, as it is now."""
    if endpoint.kind != Kind.GATEWAY or endpoint.pk is None:
        return None, False
    found = Download.objects.filter(
        endpoint=endpoint, finished_at__isnull=False, started_at__gte=endpoint.updated_at
    )
    rows = found.order_by("-started_at").values_list("started_at", "first_byte_at", "reason")
    recent = list(rows[:RECENT])
    waits = [(first - started).total_seconds() for started, first, _ in recent if first]
    return max(waits, default=None), bool(recent) and recent[0][2] == GatewayLimitError.code


def reached() -> frozenset[str]:
    """What endpoints hang on, as `Subject.about` names it: secrets, and gateways by their URL."""
    urls = Endpoint.objects.filter(kind=Kind.GATEWAY).values("url")
    gateways = Gateway.objects.filter(url__in=urls).values_list("pk", "secret__name")
    secrets = Secret.objects.filter(endpoints__isnull=False).values_list("name", flat=True)
    names = {*secrets, *(secret for _, secret in gateways)}
    return frozenset([f"secret {name}" for name in names] + [f"gateway {pk}" for pk, _ in gateways])


def _value(secret: Secret) -> str | Unread:
    try:
        current = secret.versions.filter(state=SecretVersion.State.CURRENT).first()
    except UndecryptableError as exc:
        return Unread(str(exc))
    if current is None:
        return Unread(f"The secret {secret.name} has no value yet.", missing=True)
    return current.value
