"""Who wants to be told when an export that fails is ready again."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from streams.models.endpoints import Endpoint
from streams.models.health import Health, health_by

# A mail that could not be sent is tried again after this long.
PAUSE = timedelta(minutes=15)


class ReadyRequestQuerySet(models.QuerySet["ReadyRequest"]):
    def due(self) -> Self:
        """Those whose export was found well since, and that nobody tries just now."""
        rested = Q(tried_at__isnull=True) | Q(tried_at__lte=Now() - PAUSE)
        well = self.annotate(health_now=health_by("endpoint__checkup__")).filter(
            health_now__in=[Health.HEALTHY, Health.DEGRADED],
            endpoint__checkup__looked_at__gt=F("asked_at"),
        )
        return well.filter(rested, user__is_active=True)

    def claim(self, pk: int) -> bool:
        """Whether it is ours to try: of two workers, one's."""
        rested = Q(tried_at__isnull=True) | Q(tried_at__lte=Now() - PAUSE)
        return bool(self.filter(rested, pk=pk).update(tried_at=Now()))


class ReadyRequest(models.Model):
    """One mail, once. It is gone when it was sent."""

    user = models.ForeignKey("streams.User", models.CASCADE, related_name="ready_requests")
    endpoint = models.ForeignKey(Endpoint, models.CASCADE, related_name="ready_requests")
    asked_at = models.DateTimeField(_("asked"), db_default=Now())
    tried_at = models.DateTimeField(null=True)

    objects = ReadyRequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("request for a mail")
        verbose_name_plural = _("requests for a mail")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["user", "endpoint"],
                name="ready_request_once",
                violation_error_message=_("You will be told already."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} → {self.endpoint}"
