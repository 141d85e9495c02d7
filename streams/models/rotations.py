"""Rotations: one row for each, at most one open for each secret."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from streams.models.secrets import Secret, SecretVersion


class Mode(models.TextChoices):
    """How a secret can be rotated, which follows from its function and its gateways."""

    OVERLAP = "overlap", _("the function accepts both values for a while")
    HOLD = "hold", _("the portal holds refused requests and tries both values")
    PAIR = "pair", _("the other of two aliases takes over")
    GAP = "gap", _("requests through gateways are refused for a moment")
    EMERGENCY = "emergency", _("at once, with no waits")
    REPAIR = "repair", _("the current value is put back where it is not")


class RotationState(models.TextChoices):
    RUNNING = "running", _("running")
    STUCK = "stuck", _("needs help")
    COMPLETED = "completed", _("completed")
    ROLLED_BACK = "rolled-back", _("rolled back")
    FAILED = "failed", _("failed, nothing was changed")


OPEN = (RotationState.RUNNING, RotationState.STUCK)


class RotationQuerySet(models.QuerySet["Rotation"]):
    def open(self) -> "RotationQuerySet":
        return self.filter(state__in=OPEN)

    def with_versions(self) -> "RotationQuerySet":
        """With all that hangs on them but the values: one of those may fit no key any more."""
        related = self.select_related("secret", "old", "new")
        return related.defer("old__value", "new__value")

    def due(self) -> "RotationQuerySet":
        """Open ones that nobody works on and whose time has come, by the database's clock."""
        free = Q(lease_until__isnull=True) | Q(lease_until__lte=Now())
        return self.open().filter(free, due_at__lte=Now())


class Rotation(models.Model):
    """From one value of a secret to the next."""

    secret = models.ForeignKey(
        Secret, models.CASCADE, related_name="rotations", verbose_name=_("secret")
    )
    mode = models.CharField(_("mode"), max_length=10, choices=Mode.choices)
    state = models.CharField(
        _("state"), max_length=12, choices=RotationState.choices, default=RotationState.RUNNING
    )
    step = models.CharField(_("step"), max_length=60, default="preflight")
    back = models.BooleanField(_("going back"), default=False)
    # A later step that it has been at already, where it has to do some again.
    reached = models.CharField(max_length=60, blank=True, editable=False)
    # An operator has said something since a worker last took it: one may be in the middle of its
    # turn, whose record must not put off what was asked for.
    resumed = models.BooleanField(default=False, editable=False)
    # What was said, until a worker has heeded it. One that was given up keeps that word.
    roll_back = models.BooleanField(default=False, editable=False)
    give_up = models.BooleanField(default=False, db_default=False, editable=False)
    old = models.ForeignKey(SecretVersion, models.RESTRICT, related_name="+")
    new = models.ForeignKey(SecretVersion, models.RESTRICT, null=True, related_name="+")
    # Instants and ids that steps remember; never a value.
    notes = models.JSONField(default=dict, editable=False)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    problem = models.TextField(_("problem"), blank=True)
    waiting = models.TextField(_("waiting for"), blank=True)
    requested_by = models.CharField(_("requested by"), max_length=150, blank=True)
    due_at = models.DateTimeField(_("due"), db_default=Now())
    lease_until = models.DateTimeField(null=True, editable=False)
    # Raised by each worker that takes over: a write with an older one does not count.
    token = models.PositiveIntegerField(default=0, editable=False)
    started_at = models.DateTimeField(_("started"), db_default=Now())
    step_at = models.DateTimeField(_("step since"), db_default=Now())
    # Since when it has been at this step, or an operator has had it tried again: a trouble that is
    # met anew after that is told anew.
    stretch_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True)

    objects = RotationQuerySet.as_manager()

    class Meta:
        verbose_name = _("rotation")
        verbose_name_plural = _("rotations")
        ordering = ["-started_at", "-pk"]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state__in=OPEN), name="rotation_due")
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["secret"],
                condition=Q(state__in=OPEN),
                name="one_open_rotation",
                violation_error_message=_("A rotation of this secret is under way."),
            ),
            models.CheckConstraint(
                name="rotation_ends",
                condition=Q(state__in=OPEN, finished_at__isnull=True)
                | (~Q(state__in=OPEN) & Q(finished_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.secret} {self.pk} ({self.told_state})"

    @property
    def told_state(self) -> str:
        """The state in words, also of one that was given up."""
        return gettext("given up") if self.was_given_up else self.get_state_display()

    @property
    def was_given_up(self) -> bool:
        """Whether it has failed at an operator's word, wherever it stood."""
        return self.give_up and self.state == RotationState.FAILED

    @property
    def rests(self) -> bool:
        """Whether nothing happens to it by itself for a while, and no word waits to be heard."""
        if self.finished_at:
            return True
        return self.state != RotationState.RUNNING and not self.resumed


class RotationEvent(models.Model):
    """A line of a rotation's story: what was found, done or proven. Only ever added."""

    rotation = models.ForeignKey(Rotation, models.CASCADE, related_name="events")
    at = models.DateTimeField(_("time"), db_default=Now())
    step = models.CharField(_("step"), max_length=60)
    text = models.TextField(_("what"))

    class Meta:
        verbose_name = _("event of a rotation")
        verbose_name_plural = _("events of a rotation")
        ordering = ["rotation", "pk"]

    def __str__(self) -> str:
        return self.text


class CallBucket(models.Model):
    """What is left of a rate limit of AWS's control plane, for all workers together."""

    key = models.CharField(max_length=200, primary_key=True)
    tokens = models.FloatField()
    filled_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.key
