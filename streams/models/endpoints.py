"""Endpoints: the exports that this portal offers."""

from typing import TYPE_CHECKING, Self

from django.contrib.auth.models import AnonymousUser, Group
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from streams.models.access import Grant, User
from streams.models.health import health_by, rank_by

if TYPE_CHECKING:
    from streams.models.secrets import Secret


class Kind(models.TextChoices):
    """Where the bytes come from."""

    FUNCTION_URL = "function-url", _("Lambda function URL")
    LAMBDA = "lambda", _("Lambda, invoked directly")
    GATEWAY = "gateway", _("API Gateway")
    S3 = "s3", _("S3 object")
    HTTP = "http", _("HTTP server")
    PAGES = "pages", _("paginated API")


class Auth(models.TextChoices):
    """How the portal proves itself to the origin."""

    NONE = "none", _("none")
    SECRET_HEADER = "secret-header", _("secret header")
    SIGV4 = "sigv4", _("AWS signature (SigV4)")


class Delivery(models.TextChoices):
    """How the bytes reach the user."""

    STREAM = "stream", _("streamed by the portal")
    OFFLOAD = "offload", _("streamed by nginx")
    REDIRECT = "redirect", _("redirect to a presigned URL")


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Endpoints this user may download from. Staff may from all that they operate."""
        if not user.is_active:
            return self.none()
        granted = Grant.objects.standing().filter(group__in=user.groups.all()).values("endpoint")
        shared = Q(everyone=True) | Q(pk__in=granted)
        if not user.is_staff:
            return self.filter(shared, enabled=True)
        return self.filter(
            ~Q(pk__in=Endpoint.objects.closed_to(user).values("pk")) | (shared & Q(enabled=True))
        )

    def operable_by(self, user: User | AnonymousUser) -> Self:
        """Endpoints that staff like this user may look at, or change where their role allows it."""
        if not (user.is_active and user.is_staff):
            return self.none()
        return self.exclude(pk__in=Endpoint.objects.closed_to(user).values("pk"))

    def closed_to(self, user: User | AnonymousUser) -> Self:
        """Endpoints that staff of a group operate which this user is not in."""
        if user.has_perm("streams.operate_every_endpoint"):
            return self.none()
        return self.filter(operators__isnull=False).exclude(operators__in=user.groups.all())

    def hanging_on(self, secrets: "models.QuerySet[Secret]") -> Self:
        """Those that send one of these, themselves or by a gateway."""
        urls = secrets.filter(gateways__isnull=False).values("gateways__url")
        return self.filter(Q(secret__in=secrets) | Q(kind=Kind.GATEWAY, url__in=urls))

    def with_health(self) -> Self:
        """With `health`, `health_reason` and `examined_at` by the doctor's last run, for lists.

        `health_rank` is 0 for those that fail.
        """
        return self.annotate(
            health=health_by("checkup__"),
            health_rank=rank_by("checkup__"),
            health_reason=F("checkup__reason"),
            examined_at=F("checkup__looked_at"),
        )

    def worst_first(self) -> Self:
        return self.order_by(rank_by("checkup__"), "title")


# With an address of its own, and reached over HTTP.
HTTP_KINDS = (Kind.FUNCTION_URL, Kind.GATEWAY, Kind.HTTP, Kind.PAGES)


class Endpoint(models.Model):
    """One export, under one lasting link, whatever stands behind it."""

    slug = models.CharField(
        _("slug"),
        max_length=100,
        unique=True,
        validators=[
            RegexValidator(r"\A[a-z0-9-]+\Z", _("Use lower-case letters, digits and hyphens."))
        ],
    )
    title = models.CharField(_("title"), max_length=200)
    description = models.TextField(_("description"), blank=True)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    url = models.CharField(_("URL"), max_length=2000, blank=True)
    function = models.CharField(_("function"), max_length=200, blank=True)
    bucket = models.CharField(_("bucket"), max_length=255, blank=True)
    key = models.CharField(_("key"), max_length=1024, blank=True)
    region = models.CharField(_("region"), max_length=40, blank=True)
    role_arn = models.CharField(_("role to assume"), max_length=200, blank=True)
    auth = models.CharField(_("auth"), max_length=20, choices=Auth.choices, default=Auth.NONE)
    secret = models.ForeignKey(
        "streams.Secret",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="endpoints",
        verbose_name=_("secret"),
    )
    filename = models.CharField(_("file name"), max_length=200, blank=True)
    delivery = models.CharField(
        _("delivery"), max_length=20, choices=Delivery.choices, default=Delivery.STREAM
    )
    follows = models.CharField(_("follows"), max_length=10, blank=True)
    keep_gzip = models.BooleanField(
        _("keep gzipped"),
        default=False,
        help_text=_("What the source sends gzipped is saved so, as a .gz file."),
    )
    segments = models.JSONField(_("segments"), null=True, blank=True)
    pages = models.JSONField(_("pages"), null=True, blank=True)
    params = models.JSONField(_("parameters"), default=list, blank=True)
    limits = models.JSONField(_("limits"), null=True, blank=True)
    everyone = models.BooleanField(_("every signed-in user"), default=False)
    readers = models.ManyToManyField(
        Group, through=Grant, related_name="endpoints", verbose_name=_("groups")
    )
    operators = models.ForeignKey(
        Group,
        # Were it set to none instead, whoever deletes the group would let everybody in.
        models.PROTECT,
        null=True,
        blank=True,
        related_name="operated",
        verbose_name=_("operators"),
        help_text=_("The group whose staff operate it. Empty: all staff do."),
    )
    shareable = models.BooleanField(
        _("may be shared by links"),
        default=False,
        help_text=_("Whoever may download it may make links for people without an account."),
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        verbose_name = _("endpoint")
        verbose_name_plural = _("endpoints")
        ordering = ["title"]
        permissions = [("operate_every_endpoint", "May operate endpoints of every group")]
        constraints = [
            models.CheckConstraint(
                name="endpoint_slug",
                condition=Q(slug__regex=r"^[a-z0-9-]+$"),
                violation_error_message=_("Use lower-case letters, digits and hyphens."),
            ),
            models.CheckConstraint(
                name="endpoint_secret_with_its_auth",
                condition=Q(auth="secret-header", secret__isnull=False)
                | (Q(auth="sigv4") & ~Q(kind="s3"))
                | Q(secret__isnull=True, auth__in=["none", "sigv4"]),
                violation_error_message=_(
                    "A secret header needs a secret. A signature may have one besides; no auth "
                    "and S3 have none."
                ),
            ),
            models.CheckConstraint(
                name="endpoint_address",
                condition=(Q(kind__in=[k.value for k in HTTP_KINDS]) & ~Q(url=""))
                | (Q(kind="s3") & ~Q(bucket="") & ~Q(key=""))
                | (Q(kind="lambda") & ~Q(function="")),
                violation_error_message=_(
                    "An S3 object needs bucket and key, a direct invocation a function, "
                    "every other kind a URL."
                ),
            ),
            models.CheckConstraint(
                name="endpoint_sigv4_region",
                condition=~Q(auth="sigv4") | ~Q(region=""),
                violation_error_message=_("A signature needs a region."),
            ),
            models.CheckConstraint(
                name="endpoint_choices",
                condition=Q(
                    kind__in=Kind.values, auth__in=Auth.values, delivery__in=Delivery.values
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def needs_choice(self) -> bool:
        """Whether something has to be chosen before it can be fetched."""
        return any(one.get("required") and not one.get("default") for one in self.params)
