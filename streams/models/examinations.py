"""When the doctor may look next at why downloads of an export fail: one row for each endpoint."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from streams.models.endpoints import Endpoint


class ExaminationQuerySet(models.QuerySet["Examination"]):
    def due(self) -> "ExaminationQuerySet":
        """Those that nobody makes and whose time has come, by the database's clock."""
        free = Q(lease_until__isnull=True) | Q(lease_until__lte=Now())
        return self.filter(free, due_at__lte=Now())


class Examination(models.Model):
    """What is found stands in the records of the downloads."""

    endpoint = models.OneToOneField(Endpoint, models.CASCADE, related_name="examination")
    due_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)
    # Raised by each worker that takes over: what an earlier one found does not count.
    token = models.PositiveIntegerField(default=0)

    objects = ExaminationQuerySet.as_manager()

    class Meta:
        verbose_name = _("examination of failed downloads")
        verbose_name_plural = _("examinations of failed downloads")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.endpoint)
