"""Who may do what: users, grants and API tokens."""

from datetime import datetime
from typing import Self

from django.contrib.auth.models import AbstractUser, Group
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """Somebody who signs in. Staff operate the portal; the others download."""


class Grant(models.Model):
    """Members of `group` may download from `endpoint`."""

    endpoint = models.ForeignKey("streams.Endpoint", models.CASCADE, related_name="grants")
    group = models.ForeignKey(Group, models.CASCADE, related_name="grants")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "group"],
                name="grant_once",
                violation_error_message=_("This group may download from it already."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.group} → {self.endpoint}"


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

    user = models.ForeignKey("streams.User", models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=100, blank=True)
    key = models.CharField(_("public key"), max_length=16, unique=True)
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("API token")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name or self.key
