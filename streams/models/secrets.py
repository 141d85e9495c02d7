"""Secret headers: what is sent, where it is checked, and who else sends it."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from streams.aws.urls import moved
from streams.models.access import User
from streams.models.endpoints import Endpoint, Kind
from streams.models.fields import EncryptedField

# What may stand in an environment variable, in a header (RFC 9110 section 5.5) and between the
# single quotes of a REST API's mapping.
LEGAL_VALUE = re.compile(r"[!-&(-~]{16,512}")

# API Gateway cannot map these, or sends a value of its own: its guide has them under "Reserved
# headers" of HTTP APIs, and under "Important notes" of REST APIs.
UNMAPPABLE = re.compile(
    r"(access-control-.*|apigw-.*|authorization|connection|content-.*|date|expect|forwarded|host"
    r"|keep-alive|max-forwards|origin|proxy-.*|te|trailers?|transfer-encoding|upgrade|user-agent"
    r"|via|www-authenticate|x-amzn?-.*|x-forwarded-.*)",
    re.IGNORECASE,
)


def validate_header_name(name: str) -> None:
    """Refuses what is not a field name, and what API Gateway would not map."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", name):
        raise ValidationError(_("A header name has letters, digits and hyphens only."))
    if UNMAPPABLE.fullmatch(name):
        raise ValidationError(_("API Gateway cannot map this header. Choose a name of your own."))


def validate_value(value: str) -> None:
    """Refuses a value that could not stand in a header, an environment and a mapping alike."""
    if not LEGAL_VALUE.fullmatch(value):
        raise ValidationError(
            _("A secret has 16 to 512 visible ASCII characters, with no space and no single quote.")
        )


def fingerprint(value: str) -> str:
    """What may be shown of a secret: 12 hex digits, keyed, so that nobody can test a guess."""
    return salted_hmac("streams.secret", value, algorithm="sha256").hexdigest()[:12]


class Accepts(models.TextChoices):
    """How many values the function's check accepts at once."""

    TWO = "two", _("two: the current and the next value")
    ONE = "one", _("one")


class Store(models.TextChoices):
    """Where the value lives."""

    DATABASE = "database", _("encrypted in the database")
    SECRETS_MANAGER = "secrets-manager", _("AWS Secrets Manager")


@dataclass(frozen=True)
class StoredAt:
    """Where in Secrets Manager a value stands. `region` is empty for the portal's own."""

    id: str
    region: str
    role_arn: str


def stored_at(
    name: str, said: Mapping[str, str | None] | None, *, region: str, role_arn: str
) -> StoredAt:
    """Where the registry says that it stands; `region` and `role_arn` are its function's."""
    said = said or {}
    known = said.get("id") or f"spillway/{name}"
    # arn:aws:secretsmanager:<region>:<account>:secret:<name>
    of_arn = known.split(":")[3] if known.startswith("arn:") else ""
    return StoredAt(
        id=known,
        region=said.get("region") or of_arn or region,
        role_arn=said.get("role_arn") or role_arn,
    )


class SecretQuerySet(models.QuerySet["Secret"]):
    def operable_by(self, user: User | AnonymousUser) -> Self:
        """Secrets whose rotation touches only endpoints that this user operates."""
        if not (user.is_active and user.is_staff):
            return self.none()
        closed = Endpoint.objects.closed_to(user)
        kept = self.exclude(pk__in=closed.filter(secret__isnull=False).values("secret"))
        # As `hanging_on` has it: one that goes through a gateway bears no secret of its own.
        urls = closed.filter(kind=Kind.GATEWAY).values("url")
        return kept.exclude(pk__in=Gateway.objects.filter(url__in=urls).values("secret"))


class Secret(models.Model):
    """A header that proves to a function that a request came through a door of ours."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    header = models.CharField(
        _("header"),
        max_length=100,
        default="x-secret-header",
        validators=[validate_header_name],
    )
    rotate_every = models.DurationField(_("rotate every"), null=True, blank=True)
    window = models.CharField(_("window"), max_length=11, null=True, blank=True)  # noqa: DJ001
    jitter = models.DurationField(_("jitter"), null=True, blank=True)
    rotation_paused = models.BooleanField(
        _("paused"), default=False, help_text=_("It does not rotate on its own for now.")
    )
    store = models.CharField(
        _("store"), max_length=20, choices=Store.choices, default=Store.DATABASE
    )
    # `id`, `region` and `role_arn`, as far as the registry says them.
    secrets_manager = models.JSONField(_("in Secrets Manager"), null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SecretQuerySet.as_manager()

    class Meta:
        verbose_name = _("secret")
        verbose_name_plural = _("secrets")
        ordering = ["name"]
        permissions = [
            ("rotate_secret", "Can rotate a secret"),
            ("reveal_secret", "Can see the value of a secret, and say where it is sent"),
        ]

    def __str__(self) -> str:
        return self.name

    def is_rotating(self) -> bool:
        """Whether its values, function and gateways are in the hands of a rotation."""
        return self.rotations.filter(finished_at__isnull=True).exists()

    def next_number(self) -> int:
        """Of the version that comes next."""
        newest = self.versions.aggregate(models.Max("number"))["number__max"]
        return (newest or 0) + 1

    def stored_at(self) -> StoredAt | None:
        """Where its value stands besides our database; None where it stands there alone."""
        if self.store != Store.SECRETS_MANAGER:
            return None
        function = SecretFunction.objects.filter(secret=self).first()
        return stored_at(
            self.name,
            self.secrets_manager,
            region=function.region if function else "",
            role_arn=function.role_arn if function else "",
        )

    def set_value(self, value: str, *, external_id: str = "") -> "SecretVersion":
        """Makes `value` the current version; the one before it stays as the previous one.

        `external_id` is what Secrets Manager calls it already, where it was found there. Call this
        within a transaction. Raises `ValidationError` for a value that cannot be sent, and while a
        rotation is under way.
        """
        validate_value(value)
        # A rotation that begins at the same time waits for us, or we for it.
        Secret.objects.select_for_update().get(pk=self.pk)
        if self.is_rotating():
            raise ValidationError(_("A rotation of this secret is under way. Finish it first."))
        number = self.next_number()
        self.versions.filter(state=SecretVersion.State.PREVIOUS).update(
            state=SecretVersion.State.RETIRED
        )
        current = self.versions.filter(state=SecretVersion.State.CURRENT)
        alias = current.values_list("alias", flat=True).first() or ""
        current.update(state=SecretVersion.State.PREVIOUS)
        return self.versions.create(
            number=number,
            value=value,
            fingerprint=fingerprint(value),
            state=SecretVersion.State.CURRENT,
            alias=alias,
            external_id=external_id or new_external_id(),
        )


class SecretVersionQuerySet(models.QuerySet["SecretVersion"]):
    def live(self) -> "SecretVersionQuerySet":
        """What a function may accept now, the current value first."""
        rank = models.Case(
            models.When(state=SecretVersion.State.CURRENT, then=0),
            models.When(state=SecretVersion.State.PENDING, then=1),
            default=2,
        )
        return self.exclude(state=SecretVersion.State.RETIRED).order_by(rank, "-number")


def new_external_id() -> str:
    """A version's id for Secrets Manager: a call that is repeated makes no second version."""
    return str(uuid.uuid4())


class SecretVersion(models.Model):
    """One value of a secret. The value is encrypted at rest and shown nowhere."""

    class State(models.TextChoices):
        PENDING = "pending", _("pending")
        CURRENT = "current", _("current")
        PREVIOUS = "previous", _("previous")
        RETIRED = "retired", _("retired")

    secret = models.ForeignKey(Secret, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    value = EncryptedField(editable=False)
    fingerprint = models.CharField(_("fingerprint"), max_length=12, editable=False)
    state = models.CharField(_("state"), max_length=10, choices=State.choices)
    # Of a pair, the one whose function accepts this value, once a rotation has told.
    alias = models.CharField(_("alias"), max_length=128, blank=True, editable=False)
    external_id = models.CharField(max_length=64, default=new_external_id, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = SecretVersionQuerySet.as_manager()

    class Meta:
        verbose_name = _("secret version")
        verbose_name_plural = _("secret versions")
        ordering = ["secret", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["secret", "number"], name="version_number_once"),
            *(
                models.UniqueConstraint(
                    fields=["secret"],
                    condition=Q(state=state),
                    name=f"one_{state}_version",
                    violation_error_message=_("A secret has one version of each live state."),
                )
                for state in ("pending", "current", "previous")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.secret} v{self.number} ({self.fingerprint})"


class SecretFunction(models.Model):
    """The Lambda function that checks a secret."""

    secret = models.OneToOneField(Secret, models.CASCADE, related_name="function")
    name = models.CharField(_("name or ARN"), max_length=200)
    region = models.CharField(_("region"), max_length=40, blank=True)
    role_arn = models.CharField(_("role to assume"), max_length=200, blank=True)
    alias = models.CharField(_("alias"), max_length=128, blank=True)
    aliases = models.JSONField(_("alias pair"), default=list, blank=True)
    # The function URL of each of the pair, as rotations find them.
    urls = models.JSONField(default=dict, editable=False)
    accepts = models.CharField(
        _("accepts"), max_length=3, choices=Accepts.choices, default=Accepts.TWO
    )
    variable = models.CharField(
        _("variable"),
        max_length=100,
        default="SECRET_HEADER",
        validators=[RegexValidator(r"^[A-Za-z][A-Za-z0-9_]+$")],
    )

    class Meta:
        verbose_name = _("function")
        verbose_name_plural = _("functions")

    def __str__(self) -> str:
        return self.name

    def place(self, address: str, alias: str) -> str:
        """Where `alias` of a pair is, if `address` leads to the other one; empty otherwise.

        `address` is a URL, or a function's name with an alias.
        """
        if alias not in self.aliases:
            return ""
        for other in self.aliases:
            if address.endswith(f":{other}"):
                return address.removesuffix(other) + alias
        return moved(address, self.urls, alias) or "" if alias in self.urls else ""


class Gateway(models.Model):
    """An API Gateway integration that injects a secret into each request."""

    class Type(models.TextChoices):
        REST = "rest", _("REST API")
        HTTP = "http", _("HTTP API")

    secret = models.ForeignKey(Secret, models.CASCADE, related_name="gateways")
    type = models.CharField(_("type"), max_length=4, choices=Type.choices)
    region = models.CharField(_("region"), max_length=40, blank=True)
    role_arn = models.CharField(_("role to assume"), max_length=200, blank=True)
    api_id = models.CharField(_("API id"), max_length=64)
    resource_id = models.CharField(_("resource id"), max_length=64, blank=True)
    method = models.CharField(_("method"), max_length=10, blank=True)
    integration_id = models.CharField(_("integration id"), max_length=64, blank=True)
    stage = models.CharField(_("stage"), max_length=128)
    url = models.CharField(_("URL"), max_length=2000, blank=True)

    class Meta:
        verbose_name = _("gateway")
        verbose_name_plural = _("gateways")
        constraints = [
            models.CheckConstraint(
                name="gateway_is_whole",
                condition=(Q(type="rest") & ~Q(resource_id="") & ~Q(method=""))
                | (Q(type="http") & ~Q(integration_id="")),
                violation_error_message=_(
                    "A REST API needs resource_id and method, an HTTP API integration_id."
                ),
            ),
            models.UniqueConstraint(
                fields=[
                    "secret", "type", "region", "api_id", "resource_id", "method",
                    "integration_id", "stage",
                ],
                name="gateway_once",
                violation_error_message=_("This gateway is listed twice."),
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.get_type_display()} {self.api_id}/{self.stage}"
