"""Whether AWS still has what the last rotation left: one row for each secret."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from streams.models.secrets import Secret


class DriftCheckQuerySet(models.QuerySet["DriftCheck"]):
    def due(self) -> "DriftCheckQuerySet":
        """Those that nobody looks at and whose time has come, by the database's clock."""
        free = Q(lease_until__isnull=True) | Q(lease_until__lte=Now())
        return self.filter(free, due_at__lte=Now())


class DriftCheck(models.Model):
    """`found` is what differs, a sentence a line, and empty where nothing does.

    `problem` says why it could not be looked at the last time; `found` is then from before.
    """

    secret = models.OneToOneField(Secret, models.CASCADE, related_name="drift")
    found = models.TextField(_("found"), blank=True)
    found_at = models.DateTimeField(_("found at"), null=True)
    problem = models.TextField(_("problem"), blank=True)
    looked_at = models.DateTimeField(_("looked at"), null=True)
    due_at = models.DateTimeField(_("due"), db_default=Now())
    lease_until = models.DateTimeField(null=True, editable=False)
    # Raised by each worker that takes over: what an earlier one found does not count.
    token = models.PositiveIntegerField(default=0, editable=False)

    objects = DriftCheckQuerySet.as_manager()

    class Meta:
        verbose_name = _("drift check")
        verbose_name_plural = _("drift checks")
        indexes = [models.Index(fields=["due_at"], name="drift_due")]

    def __str__(self) -> str:
        return f"{self.secret}: {self.found or _('as it should be')}"
