"""How well an endpoint is, as far as the doctor's last run tells."""

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

# What was found longer ago than so many pauses between two runs tells nothing any more.
STALE = 3


class Health(models.TextChoices):
    """The worst first, which is how lists show them."""

    FAILING = "failing", _("failing")
    DEGRADED = "degraded", _("degraded")
    UNKNOWN = "unknown", _("unknown")
    HEALTHY = "healthy", _("healthy")


def lasting() -> timedelta:
    """How long a finding counts that nobody has seen anew."""
    return timedelta(seconds=STALE * settings.DOCTOR_EVERY)


def health_by(row: str = "") -> Case:
    """The health by an `Checkup`, which `row` leads to; unknown where it is missing or old."""
    return Case(When(_recent(row), then=F(f"{row}health")), default=Value(Health.UNKNOWN))


def rank_by(row: str = "") -> Case:
    """The place of that health in a list."""
    places = {one: Value(place) for place, one in enumerate(Health)}
    cases = [When(_recent(row, health=one), then=place) for one, place in places.items()]
    return Case(*cases, default=places[Health.UNKNOWN])


def _recent(row: str, **also: Health) -> Q:
    named = {f"{row}{name}": value for name, value in also.items()}
    return Q(**{f"{row}looked_at__gt": Now() - lasting()}, **named)
