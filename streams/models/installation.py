"""This portal, as all its processes share it: one row."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone


class InstallationManager(models.Manager["Installation"]):
    def here(self) -> "Installation":
        """The row, made anew where it is gone."""
        return self.get_or_create(pk=1)[0]

    def tick(self) -> float | None:
        """Says that the scheduler ticks, and that a worker hears it.

        The seconds since the tick before; None at the first one.
        """
        before = self.filter(pk=1).values_list("ticked_at", flat=True).first()
        self.update_or_create(pk=1, defaults={"ticked_at": Now()})
        return (timezone.now() - before).total_seconds() if before else None


class Installation(models.Model):
    """`identity` tells it from every other portal, one with the same settings among them."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    identity = models.UUIDField(default=uuid.uuid4)
    made_at = models.DateTimeField(db_default=Now())
    ticked_at = models.DateTimeField(null=True)

    objects = InstallationManager()

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(name="installation_once", condition=Q(id=1))]

    def __str__(self) -> str:
        return str(self.identity)
