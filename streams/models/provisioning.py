"""Whose turn it is to provision."""

from django.db import models
from django.db.models.functions import Now


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
