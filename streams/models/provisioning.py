"""Runs that provision, and whose turn it is."""

from typing import Any, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from streams.models.access import User
from streams.models.endpoints import Endpoint


class ProvisioningTurnQuerySet(models.QuerySet["ProvisioningTurn"]):
    def free(self) -> "ProvisioningTurnQuerySet":
        """The one that nobody has, by the database's clock."""
        return self.filter(models.Q(lease_until__isnull=True) | models.Q(lease_until__lte=Now()))


class ProvisioningTurn(models.Model):
    """One row: one run at a time creates things in AWS, so that none takes back another's."""

    function = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True)
    # Raised by each run that takes it: one that has lost it can do nothing any more.
    token = models.PositiveIntegerField(default=0)

    objects = ProvisioningTurnQuerySet.as_manager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.function


class SetupState(models.TextChoices):
    RUNNING = "running", _("running")
    COMPLETED = "completed", _("completed")
    FAILED = "failed", _("failed")


class SetupQuerySet(models.QuerySet["Setup"]):
    def open(self) -> Self:
        return self.filter(state=SetupState.RUNNING)

    def due(self) -> Self:
        """Open ones that nobody works on and whose time has come, by the database's clock."""
        free = Q(lease_until__isnull=True) | Q(lease_until__lte=Now())
        return self.open().filter(free, due_at__lte=Now())

    def operable_by(self, user: User | AnonymousUser) -> Self:
        """Those of endpoints that this user operates, or that are none."""
        if not (user.is_active and user.is_staff):
            return self.none()
        return self.exclude(slug__in=Endpoint.objects.closed_to(user).values("slug"))


class Setup(models.Model):
    """One provisioning that was asked for at /operate/: workers do it. No value is in it.

    `request` is what was asked for, `plan` what its asker was shown before, `told` what was done so
    far, each a list of sentences; `undone` and `left` likewise, where it has failed.
    """

    slug = models.CharField(_("slug"), max_length=100)
    function = models.CharField(_("function"), max_length=200)
    request: Any = models.JSONField(editable=False)
    plan: Any = models.JSONField(default=list, editable=False)
    state = models.CharField(
        _("state"), max_length=10, choices=SetupState.choices, default=SetupState.RUNNING
    )
    told: Any = models.JSONField(default=list, editable=False)
    problem = models.TextField(_("problem"), blank=True)
    undone: Any = models.JSONField(default=list, editable=False)
    left: Any = models.JSONField(default=list, editable=False)
    gateway_url = models.CharField(max_length=2000, blank=True, editable=False)
    requested_by = models.CharField(_("requested by"), max_length=150)
    # An operator's word, until its worker has heard it.
    stop = models.BooleanField(default=False, editable=False)
    due_at = models.DateTimeField(_("due"), db_default=Now())
    lease_until = models.DateTimeField(null=True, editable=False)
    # Raised by each worker that takes over: a write with an older one does not count.
    token = models.PositiveIntegerField(default=0, editable=False)
    # A worker was killed at it: what that one made, nobody can take back.
    orphaned = models.BooleanField(default=False, editable=False)
    started_at = models.DateTimeField(_("started"), db_default=Now())
    finished_at = models.DateTimeField(_("finished"), null=True)

    objects = SetupQuerySet.as_manager()

    class Meta:
        verbose_name = _("provisioning")
        verbose_name_plural = _("provisionings")
        ordering = ["-pk"]
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["slug"],
                condition=Q(state="running"),
                name="one_open_setup",
                violation_error_message=_("This endpoint is being provisioned."),
            ),
            models.CheckConstraint(
                name="setup_ends",
                condition=Q(state="running", finished_at__isnull=True)
                | (~Q(state="running") & Q(finished_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.slug} {self.pk} ({self.get_state_display()})"
