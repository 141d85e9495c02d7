"""The function's side: it has the secret, it checks it, and then everybody may call it."""

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction

from streams import audit
from streams.aws.functions import Configuration, Statement, UrlConfig
from streams.models import Accepts, Secret, SecretFunction, SecretVersion
from streams.models.secrets import validate_value
from streams.provisioning.asking import wrong
from streams.provisioning.problems import UnfitError
from streams.provisioning.site import Site
from streams.rotation.environment import FunctionEnvironment, Pair
from streams.rotation.probing import TIMES, Verdict
from streams.rotation.problems import DriftError
from streams.rotation.run import Forgotten, Run, Waits

_OPEN = (
    "The function does not check the secret: a request {how} was let in. Wrap its handler with "
    "`guarded` (functions/python/README.md), deploy it, and run this again."
)
_NAME = re.compile(r"(arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:)?[A-Za-z0-9_-]{1,64}")
_STREAMS = UrlConfig("", "NONE", "RESPONSE_STREAM")


@dataclass(frozen=True)
class FunctionIsThere:
    """It exists, it can run, and its URL would stream."""

    site: Site
    name: str = "function"
    proof: str = ""

    def missing(self) -> list[str]:
        function, alias = self.site.function, self.site.request.alias
        if not _NAME.fullmatch(function.name):
            raise UnfitError("Name the function by its name or ARN, and its alias by --alias.")
        configuration = function.read(alias)
        if configuration.state == "Failed":
            raise UnfitError("The function cannot run: its state is Failed. Deploy it again.")
        if configuration.in_vpc:
            raise UnfitError(
                "The function is in a VPC, where a function URL does not stream. Register it as "
                "an endpoint of kind lambda: the portal then invokes it directly, and that streams."
            )
        if alias and function.alias(alias).weighted:
            raise UnfitError(
                f"The alias {alias} sends a share of its requests to another version. "
                "Give it one version."
            )
        return []

    def do(self) -> None:
        """There is nothing that could be done."""

    def prove(self) -> None:
        def ready() -> bool:
            return self.site.function.read(self.site.request.alias).state != "Pending"

        self.site.until(ready, "AWS is still making the function. Run this again later.")


@dataclass(frozen=True)
class SecretIsStored:
    """The value stands in our database before AWS hears of it."""

    site: Site
    name: str = "secret"
    proof: str = ""

    def missing(self) -> list[str]:
        site, wanted = self.site, self.site.request
        secret = Secret.objects.filter(name=wanted.secret).first()
        held = SecretFunction.objects.filter(secret=secret).first() if secret else None
        self._check(secret, held)
        site.header = wanted.header or (secret.header if secret else "x-secret-header")
        site.variable = wanted.variable or (held.variable if held else "SECRET_HEADER")
        site.accepts = wanted.accepts or (held.accepts if held else Accepts.TWO)
        current = secret and secret.versions.filter(state=SecretVersion.State.CURRENT).first()
        if current:
            site.value, site.version = current.value, current.number
            return []
        site.value = self._adopted()
        if site.value:
            return [f"The secret {wanted.secret} takes over the value of {site.variable}."]
        return [f"The secret {wanted.secret} gets a new random value."]

    def do(self) -> None:
        name = self.site.request.secret
        # base64url is legal in a header, a mapping and an environment alike.
        value = self._adopted() or secrets.token_urlsafe(32)
        with transaction.atomic():
            secret, created = Secret.objects.get_or_create(
                name=name, defaults={"header": self.site.header}
            )
            Secret.objects.select_for_update().get(pk=secret.pk)
            if secret.versions.filter(state=SecretVersion.State.CURRENT).exists():
                return
            version = secret.set_value(value)
            _record("added" if created else "changed", name)
        self.site.undo.add(
            f"the secret {name} is as it was in the registry",
            lambda: _forget(secret if created else version),
            last=True,
        )

    def prove(self) -> None:
        """The database is believed."""

    def _check(self, secret: Secret | None, held: SecretFunction | None) -> None:
        wanted = self.site.request
        if secret and secret.is_rotating():
            raise UnfitError(
                f"A rotation of {secret.name} is under way. Run this again when it has ended."
            )
        if held is None:
            return
        if held.aliases:
            raise UnfitError(
                f"{held.secret.name} rotates by two aliases, whose URLs its rotations make."
            )
        theirs = (_bare(held.name), held.alias, held.region or wanted.region)
        if theirs != (_bare(wanted.function), wanted.alias, wanted.region):
            alias = f" with the alias {held.alias}" if held.alias else " without an alias"
            raise UnfitError(
                f"The secret {held.secret.name} belongs to the function {held.name}{alias}"
                f"{' in ' + held.region if held.region else ''}. "
                "Give this one a secret of its own (--secret)."
            )

    def _adopted(self) -> str:
        """The value that callers must send already; empty where there is none."""
        site = self.site
        value = ""
        for qualifier in dict.fromkeys((site.request.alias, "")):
            value = value or site.function.read(qualifier).variables.get(site.variable, "")
        try:
            if value:
                validate_value(value)
        except ValidationError as exc:
            raise UnfitError(
                f"{site.variable} of the function holds what cannot be sent as a header. "
                f"{exc.messages[0]} Change it, or remove it and let this make one."
            ) from None
        return value


@transaction.atomic
def _forget(made: Secret | SecretVersion) -> None:
    if isinstance(made, SecretVersion):
        made.delete()
        _record("changed", made.secret.name)
    # Somebody may have begun to use it meanwhile.
    elif not made.endpoints.exists():
        made.delete()
        _record("deleted", made.name)


def _record(verb: str, name: str) -> None:
    # Who asked stands in the entry that says that this provisioning began.
    details = {} if verb == "deleted" else {"changes": "value"}
    audit.record(f"secret.{verb}", by=None, what=name, details=details)


def _bare(function: str) -> str:
    """A function's name, also of its ARN."""
    return function.rpartition(":function:")[2]


@dataclass(frozen=True)
class EnvironmentHolds:
    """The function's environment holds the value, and everything else that it held."""

    site: Site
    name: str = "environment"
    proof: str = ""

    def missing(self) -> list[str]:
        site, variable, alias = self.site, self.site.variable, self.site.request.alias
        try:
            self._environment.check(self._run())
        except DriftError as exc:
            raise UnfitError(
                f"{exc} Make the two agree: in the function, or on the secret's page at /operate/. "
                "Or take another secret (--secret)."
            ) from None
        if site.value and self._environment.has(Pair(site.value)):
            return []
        latest = site.function.read()
        sentences = []
        if not site.value or latest.variables.get(variable) != site.value:
            others = len(set(latest.variables) - {variable, f"{variable}_NEXT"})
            sentences.append(f"{variable} holds the value; {others} other variables stay.")
        if alias:
            sentences.append(f"A version is published, and the alias {alias} gets it.")
        return sentences

    def do(self) -> None:
        site, alias = self.site, self.site.request.alias
        latest = site.function.read()
        before = site.function.alias(alias).version if alias else ""
        site.undo.add(
            f"the environment of {site.request.function} is as it was",
            lambda: self._put_back(latest, before),
        )
        self._bring(self._environment, Pair(site.value))

    def prove(self) -> None:
        """The function itself is asked next."""

    def _put_back(self, latest: Configuration, version: str) -> None:
        site, alias = self.site, self.site.request.alias
        if version:
            held = site.function.alias(alias)
            if held.version != version and self._pair(alias).value == site.value:
                site.function.move_alias(alias, version=version, revision_id=held.revision_id)
        if not latest.variables.get(site.variable) and self._pair().value == site.value:
            environment = FunctionEnvironment(site.function, site.variable, begins=True)
            self._bring(environment, Pair(""))

    def _bring(self, environment: FunctionEnvironment, wanted: Pair) -> None:
        run = self._run()
        self.site.until(
            lambda: environment.bring(run, wanted, settle=False) is None,
            "AWS does not come to an end with the update of the function.",
        )

    def _pair(self, qualifier: str = "") -> Pair:
        variables = self.site.function.read(qualifier).variables
        return Pair(variables.get(self.site.variable, ""))

    @property
    def _environment(self) -> FunctionEnvironment:
        site = self.site
        return FunctionEnvironment(site.function, site.variable, site.request.alias, begins=True)

    def _run(self) -> Run:
        return Run(self.site.value, "", Forgotten(), Waits(0, 0, 0), time.time, say=lambda _: None)


@dataclass(frozen=True)
class SecretIsChecked:
    """Asked before it is opened: what does not check is never made public."""

    site: Site
    name: str = "check"
    proof: str = (
        "The function is invoked: with the value it must answer, without it, with an empty and "
        "with a wrong one it must refuse."
    )

    def missing(self) -> list[str]:
        return []

    def do(self) -> None:
        """There is nothing that could be done."""

    def prove(self) -> None:
        proven(self.site, self.site.direct.verdict)


def proven(site: Site, verdict: Callable[[str | None], Verdict]) -> None:
    """Whether the right value is let in each time, and nothing else ever. Raises `UnfitError`."""
    # What refuses nobody need not be asked anything else.
    _refused(site, verdict, "without the header", None)

    def accepted() -> bool:
        return all(verdict(site.value) == Verdict.ACCEPTED for _ in range(TIMES))

    site.until(
        accepted,
        "The function does not let the right value in each time. Its handler must read "
        f"{site.variable} and the header {site.header}, and what it does then must work.",
    )
    for how, value in wrong().items():
        _refused(site, verdict, how, value)


def _refused(
    site: Site, verdict: Callable[[str | None], Verdict], how: str, value: str | None
) -> None:
    def refused() -> bool:
        said = verdict(value)
        if said == Verdict.ACCEPTED:
            raise UnfitError(_OPEN.format(how=how))
        return said == Verdict.REFUSED

    site.until(
        refused,
        f"The function neither answers nor refuses a request {how}: it fails, or cannot be "
        "reached. Look into its log.",
    )


@dataclass(frozen=True)
class UrlStreams:
    """It has a function URL that streams. Without a policy nobody may call it yet."""

    site: Site
    name: str = "url"
    proof: str = ""

    def missing(self) -> list[str]:
        held = self.site.function.url(self.site.request.alias)
        if held is None:
            return ["A function URL is made: auth type NONE, invoke mode RESPONSE_STREAM."]
        if held.auth_type != "NONE":
            raise UnfitError(
                "The function URL asks for a signature (AWS_IAM), which a secret header does not "
                "replace. Register it with auth: sigv4, or take another alias."
            )
        self.site.url = held.url
        if held.invoke_mode != "RESPONSE_STREAM":
            return [
                f"The invoke mode of the function URL becomes RESPONSE_STREAM; it is "
                f"{held.invoke_mode}."
            ]
        return []

    def do(self) -> None:
        site, alias = self.site, self.site.request.alias
        held = site.function.url(alias)
        if held is None:
            site.undo.add("the function URL is gone", lambda: site.function.remove_url(alias))
            site.function.add_url(alias, like=_STREAMS)
            return
        mode = held.invoke_mode
        site.undo.add(
            f"the invoke mode of the function URL is {mode}",
            lambda: site.function.set_invoke_mode(alias, mode),
        )
        site.function.set_invoke_mode(alias, "RESPONSE_STREAM")

    def prove(self) -> None:
        """Everybody is asked when everybody may."""


@dataclass(frozen=True)
class UrlIsOpen:
    """Everybody may call the URL, and only who has the secret gets an answer."""

    site: Site
    name: str = "permissions"
    proof: str = "The URL is asked over the network, in the same ways."

    def missing(self) -> list[str]:
        statements = self.site.function.missing_statements(self.site.request.alias)
        return [
            f"{one.action} is permitted to everybody, where {one.key} is {one.value}."
            for one in statements
        ]

    def do(self) -> None:
        function, alias = self.site.function, self.site.request.alias
        for statement in function.missing_statements(alias):
            self.site.undo.add(f"{statement.action} is not permitted", self._revoked(statement))
            function.permit(statement, alias)

    def _revoked(self, statement: Statement) -> Callable[[], None]:
        return lambda: self.site.function.revoke(statement, self.site.request.alias)

    def prove(self) -> None:
        address = self.site.address(self.site.url)
        proven(self.site, address.verdict)
        self.site.status = address.status(self.site.value)
