"""Facts of functions: those that check a secret, and those that are invoked directly."""

from dataclasses import dataclass, field
from typing import Any

from streams.aws.functions import Function, UrlConfig
from streams.doctor import accounts
from streams.doctor.facts import FunctionFacts, SecretFacts, Unread
from streams.doctor.reader import Reader
from streams.models import Auth, Endpoint, Kind, Secret, SecretFunction, SecretVersion
from streams.rotation.parts import calls, own_region
from streams.rotation.problems import UnfitError

_NAMELESS = Unread("AWS does not tell which function a URL belongs to: the registry names none.")


@dataclass
class Functions:
    """Each is read once in a run."""

    reader: Reader
    # One that is looked at as it is here, and may be stored otherwise or not at all.
    draft: Endpoint | None = None
    _of_secrets: dict[int, tuple[FunctionFacts, ...]] = field(default_factory=dict)
    _invoked: dict[tuple[str, ...], FunctionFacts] = field(default_factory=dict)

    def of_secret(self, secret: Secret, facts: SecretFacts) -> tuple[FunctionFacts, ...]:
        """The function that checks it, or both aliases of a pair; none where none is registered."""
        if secret.pk not in self._of_secrets:
            row = SecretFunction.objects.filter(secret=secret).first()
            names = (row.aliases or [row.alias]) if row else []
            self._of_secrets[secret.pk] = tuple(
                self._checking(secret, facts, row, alias) for alias in names if row
            )
        return self._of_secrets[secret.pk]

    def invoked(self, endpoint: Endpoint) -> FunctionFacts:
        """That of an export which is invoked directly; the same of all exports that invoke it."""
        place = (endpoint.function, endpoint.region, endpoint.role_arn)
        if place not in self._invoked:
            name, qualifier = _split(endpoint.function)
            row = SecretFunction(name=name, region=endpoint.region, role_arn=endpoint.role_arn)
            about = frozenset({f"function of {endpoint.slug}"})
            self._invoked[place] = self._read(row, qualifier, about=about, endpoint=endpoint.slug)
        return self._invoked[place]

    def _checking(
        self, secret: Secret, facts: SecretFacts, row: SecretFunction, alias: str
    ) -> FunctionFacts:
        current = secret.versions.filter(state=SecretVersion.State.CURRENT).defer("value").first()
        in_use = current.alias if current else ""
        auths = self._url_auths(secret)
        return self._read(
            row,
            alias,
            about=frozenset({f"secret {secret.name}"}),
            secret_name=secret.name,
            secret=facts,
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

    def _read(
        self, row: SecretFunction, qualifier: str, *, about: frozenset[str], **known: Any
    ) -> FunctionFacts:
        name, alias = row.name, "" if qualifier.isdigit() else qualifier
        told = f"alias {alias} of the function {name}" if alias else f"function {name}"
        depends = accounts.use_of(row).parts
        known |= {"name": told, "about": about, "depends": depends, "function": name}
        known |= {"qualifier": qualifier, "role_arn": row.role_arn}
        try:
            known["region"] = row.region or own_region()
        except UnfitError as exc:
            return FunctionFacts(**known, **_unread(Unread(str(exc))))
        reader = self.reader
        function = Function(calls(reader.account, row, reader.guard), name)
        latest = reader.read(function.read, depends)
        if isinstance(latest, Unread):
            why = Unread(f"There is no {told}.") if latest.missing else latest
            return FunctionFacts(**known, **_unread(why) | {"latest": latest})
        pointing = reader.read(lambda: function.alias(alias)) if alias else None
        if isinstance(pointing, Unread):
            why = Unread(f"There is no {told}.") if pointing.missing else pointing
            return FunctionFacts(**known, **_unread(why) | {"latest": latest, "alias": pointing})
        url = reader.read(lambda: function.url(alias))
        return FunctionFacts(
            **known,
            latest=latest,
            alias=pointing,
            served=reader.read(lambda: function.read(qualifier)) if qualifier else latest,
            url=url,
            open=None if "secret" in known else self._open(url),
            statements=reader.read(lambda: tuple(function.statements(qualifier))),
        )

    def _open(self, url: UrlConfig | Unread | None) -> bool | Unread | None:
        if not isinstance(url, UrlConfig):
            return url
        return self.reader.opens(url.url) if url.auth_type == "NONE" else None


def nameless(endpoint: Endpoint) -> FunctionFacts:
    """That behind a URL of which nothing else is registered: nothing of it can be looked up."""
    return FunctionFacts(
        name=f"function behind the URL of {endpoint.slug}",
        about=frozenset({f"function of {endpoint.slug}"}),
        endpoint=endpoint.slug,
        url_auth="AWS_IAM" if endpoint.auth == Auth.SIGV4 else "NONE",
        streams=True,
        **_unread(_NAMELESS),
    )


def _url_auth(secret: Secret, auths: set[str]) -> str:
    """What the URL of its function is expected to ask for; empty where it needs none."""
    if Auth.SECRET_HEADER in auths:
        return "NONE"
    if Auth.SIGV4 in auths:
        return "AWS_IAM"
    # A gateway cannot sign.
    return "NONE" if secret.gateways.exists() else ""


def _split(function: str) -> tuple[str, str]:
    """Name or ARN, and the alias or version behind it; empty where there is none."""
    parts = function.split(":")
    if len(parts) in (2, 8):
        return ":".join(parts[:-1]), parts[-1].replace("$LATEST", "")
    return function, ""


def _unread(why: Unread) -> dict[str, Any]:
    return {"latest": why, "served": why, "alias": why, "url": why, "statements": why}
