"""Who may do what: users, grants and API tokens."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.contrib.auth.models import AbstractUser, Group
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from streams.models.endpoints import EndpointQuerySet


class User(AbstractUser):
    """Somebody who signs in. Staff operate the portal; the others download."""


class GrantQuerySet(models.QuerySet["Grant"]):
    def standing(self) -> Self:
        """Those that have not ended."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()))

    def lasting(self) -> Self:
        """Those that have no end: what a registry file says. The others are lent by hand."""
        return self.filter(expires_at__isnull=True)


class Grant(models.Model):
    """Members of `group` may download from `endpoint`. What they have begun by its end goes on."""

    endpoint = models.ForeignKey("streams.Endpoint", models.CASCADE, related_name="grants")
    group = models.ForeignKey(Group, models.CASCADE, related_name="grants")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(
        _("until"), null=True, blank=True, help_text=_("Empty: for good.")
    )

    objects = GrantQuerySet.as_manager()

    class Meta:
        verbose_name = _("grant")
        verbose_name_plural = _("grants")
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "group"],
                name="grant_once",
                violation_error_message=_("This group may download from it already."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.group} → {self.endpoint}"


class GroupPolicy(models.Model):
    """What the portal demands of a group's members."""

    group = models.OneToOneField(Group, models.CASCADE, related_name="policy")
    # Who has none is led to set one up before anything else. Their API tokens go on.
    second_factor = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("rule")
        verbose_name_plural = _("rules")
        # It is changed with its group.
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.group)


class CacheRow(models.Model):
    """Django's database cache, which holds the limits of sign-in where there is no Redis.

    The columns are those of `django.core.cache.backends.db`. A model, so that `migrate` makes it.
    """

    cache_key = models.CharField(primary_key=True, max_length=255)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "streams_cache"
        default_permissions = ()

    def __str__(self) -> str:
        return self.cache_key


class Scope(models.TextChoices):
    """What a token opens, within what its user may do."""

    DOWNLOAD = "download", _("download every export that you may have")
    CHOSEN = "chosen", _("download chosen exports")
    READ = "read", _("read through the API, change nothing and download nothing")
    OPERATE = "operate", _("read and change through the API, download nothing")
    EVERYTHING = "everything", _("everything that you may do")


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def usable(self, now: datetime | None = None) -> Self:
        """Tokens that still open something: neither revoked nor expired, of an active user."""
        now = now or timezone.now()
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=now),
            revoked_at__isnull=True,
            user__is_active=True,
        )


class ApiToken(models.Model):
    """A bearer token, stored as a public key (to find it) and a digest (to prove it).

    The token itself is shown once, when it is made, and is nowhere afterwards.
    """

    user = models.ForeignKey(
        "streams.User", models.CASCADE, related_name="api_tokens", verbose_name=_("user")
    )
    name = models.CharField(_("name"), max_length=100, blank=True)
    key = models.CharField(_("public key"), max_length=16, unique=True)
    digest = models.CharField(max_length=64, editable=False)
    scope = models.CharField(
        _("scope"), max_length=10, choices=Scope.choices, default=Scope.EVERYTHING
    )
    # Read for the scope "chosen" alone, so that a token whose exports are all gone opens none.
    endpoints = models.ManyToManyField("streams.Endpoint", blank=True, verbose_name=_("exports"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name or self.key

    def opens(self, exports: "EndpointQuerySet") -> "EndpointQuerySet":
        """Those of `exports` that may be downloaded with this token."""
        if self.scope in {Scope.DOWNLOAD, Scope.EVERYTHING}:
            return exports
        if self.scope == Scope.CHOSEN:
            return exports.filter(pk__in=self.endpoints.values("pk"))
        return exports.none()

    @property
    def may_read(self) -> bool:
        """Whether it opens the API at all."""
        return self.scope in {Scope.READ, Scope.OPERATE, Scope.EVERYTHING}

    @property
    def may_change(self) -> bool:
        """Whether it opens what changes something through the API."""
        return self.scope in {Scope.OPERATE, Scope.EVERYTHING}
