"""What the doctor looks at on its own, how that is, and what its last runs found."""

from typing import Any, Self

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext_lazy as _

from streams.models.endpoints import Endpoint
from streams.models.health import Health, health_by
from streams.models.secrets import Secret


class Why(models.TextChoices):
    """What a run was made for."""

    SCHEDULE = "schedule", _("on schedule")
    DEMAND = "demand", _("on demand")
    COMMAND = "command", _("by manage.py doctor")
    CHANGE = "change", _("after a change")
    ROTATION = "rotation", _("after a rotation")


class CheckupQuerySet(models.QuerySet["Checkup"]):
    def due(self) -> Self:
        """Those that nobody makes and whose time has come, by the database's clock."""
        free = Q(lease_until__isnull=True) | Q(lease_until__lte=Now())
        return self.filter(free, due_at__lte=Now())

    def running(self) -> Self:
        return self.filter(lease_until__gt=Now())

    def hanging_on(self, secrets: models.QuerySet[Secret]) -> Self:
        """Those of endpoints that send one of these, themselves or by a gateway."""
        return self.filter(endpoint__in=Endpoint.objects.hanging_on(secrets))

    def ask(self, why: Why, *, by: str = "") -> int:
        """Has them made as soon as a worker is free; how many. Asked twice, they are made once."""
        return self.update(
            due_at=Now(), asked_at=Coalesce("asked_at", Now()), asked=F("asked") + 1, why=why,
            asked_by=by,
        )  # fmt: skip

    def with_health(self) -> Self:
        """With `health_now`: unknown, where the last run is too long ago."""
        return self.annotate(health_now=health_by())


class Checkup(models.Model):
    """One row for each endpoint, and one, without an endpoint, for the portal and all the rest.

    `health` is what the last run has left, and `reason` a sentence about it.
    """

    endpoint = models.OneToOneField(
        Endpoint, models.CASCADE, null=True, related_name="checkup", verbose_name=_("endpoint")
    )
    health = models.CharField(
        _("health"), max_length=10, choices=Health.choices, default=Health.UNKNOWN
    )
    reason = models.TextField(_("reason"), blank=True)
    looked_at = models.DateTimeField(_("last check"), null=True)
    # Since when it fails. What is unknown in between is no end of it.
    failing_since = models.DateTimeField(_("failing since"), null=True)
    # A digest of what operators have been told that it fails by; empty where they have not been.
    told = models.CharField(max_length=64, blank=True, default="", editable=False)
    # Why the next run is made, and since when somebody waits for it.
    why = models.CharField(max_length=10, choices=Why.choices, default=Why.SCHEDULE)
    asked_by = models.CharField(max_length=150, blank=True)
    asked_at = models.DateTimeField(null=True)
    # Raised each time: a run that had begun before is no answer.
    asked = models.PositiveIntegerField(default=0, editable=False)
    due_at = models.DateTimeField(_("due"), db_default=Now())
    began_at = models.DateTimeField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    # Raised by each worker that takes over: what an earlier one found does not count.
    token = models.PositiveIntegerField(default=0, editable=False)

    objects = CheckupQuerySet.as_manager()

    class Meta:
        verbose_name = _("checkup")
        verbose_name_plural = _("checkups")
        indexes = [models.Index(fields=["due_at"], name="checkup_due")]
        constraints = [
            models.UniqueConstraint(
                Coalesce("endpoint", Value(0, output_field=models.BigIntegerField())),
                name="one_checkup_each",
            ),
            models.CheckConstraint(
                name="checkup_choices",
                condition=Q(health__in=Health.values, why__in=Why.values),
            ),
        ]

    def __str__(self) -> str:
        return str(self.endpoint) if self.endpoint else str(_("the portal"))


class DoctorRun(models.Model):
    """What one run found. The last ones of each checkup are kept.

    `report` has what was found, passed and skipped, and the difference from the run before; never
    a value.
    """

    checkup = models.ForeignKey(Checkup, models.CASCADE, related_name="runs")
    why = models.CharField(_("why"), max_length=10, choices=Why.choices)
    by = models.CharField(_("asked by"), max_length=150, blank=True)
    ended_at = models.DateTimeField(_("ended"), db_default=Now())
    seconds = models.FloatField(_("seconds"))
    health = models.CharField(_("health"), max_length=10, choices=Health.choices)
    errors = models.PositiveIntegerField(_("errors"))
    warnings = models.PositiveIntegerField(_("warnings"))
    passed = models.PositiveIntegerField(_("passed"))
    skipped = models.PositiveIntegerField(_("skipped"))
    report: Any = models.JSONField(_("report"))

    class Meta:
        verbose_name = _("run of the doctor")
        verbose_name_plural = _("runs of the doctor")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.checkup} {self.pk} ({self.get_health_display()})"
