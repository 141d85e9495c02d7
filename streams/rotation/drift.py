"""Looks, while no rotation is under way, whether AWS still has what the last one left.

A look is a row with a due time and a lease. What is found is told once, and so is its end.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from streams.aws.failures import ControlError
from streams.models import DriftCheck, Rotation, Secret, SecretVersion
from streams.models.fields import UndecryptableError
from streams.rotation import elsewhere, telling
from streams.rotation.engine import account, waits
from streams.rotation.parts import parts
from streams.rotation.plan import found
from streams.rotation.problems import RotationError
from streams.rotation.run import Forgotten, Run
from streams.rotation.versions import NoVersions

logger = logging.getLogger(__name__)

# Seconds until the next look, where this one could not be made or a rotation came in between.
AGAIN = 300.0


def due() -> list[int]:
    """The checks whose time has come. Each secret with a value and a function has one."""
    valued = SecretVersion.objects.filter(state=SecretVersion.State.CURRENT).values("secret")
    missing = Secret.objects.filter(pk__in=valued, function__isnull=False, drift__isnull=True)
    DriftCheck.objects.bulk_create(
        [DriftCheck(secret=secret) for secret in missing], ignore_conflicts=True
    )
    return list(DriftCheck.objects.due().values_list("pk", flat=True))


def check(pk: int) -> None:
    """Looks, if it is due and nobody else does, and records what was found."""
    claimed: Any = _claim(pk)
    if claimed is None:
        return
    problem, sentences = "", claimed.found
    if not claimed.secret.is_rotating():
        try:
            sentences = "\n".join(differences(claimed.secret))
        except (RotationError, ControlError, UndecryptableError) as exc:
            problem = str(exc)
    _record(claimed, claimed.now, sentences, problem)


def differences(secret: Secret) -> list[str]:
    """What AWS has otherwise than we, in sentences without values; empty where nothing is.

    Raises `RotationError`, `ControlError` or `UndecryptableError` where it cannot be read.
    """
    current = secret.versions.get(state="current")
    made = parts(secret, NoVersions(), account(), lambda: None, in_use=current.alias)
    # What it has from before, or not at all, needs nobody's word.
    elsewhere.put_current(secret, account())
    run = Run(current.value, current.value, Forgotten(), waits(), lambda: 0.0, lambda _: None)
    return list(found(run, made))


def _claim(pk: int) -> DriftCheck | None:
    until = Now() + timedelta(seconds=settings.ROTATION_LEASE)
    with transaction.atomic():
        mine = DriftCheck.objects.filter(pk=pk).due()
        if not mine.update(token=F("token") + 1, lease_until=until):
            return None
        checks: Any = DriftCheck.objects.select_related("secret").annotate(now=Now())
        claimed: DriftCheck = checks.get(pk=pk)
        return claimed


@transaction.atomic
def _record(check: DriftCheck, began: datetime, sentences: str, problem: str) -> None:
    # A rotation that begins now waits for us; one that has begun meanwhile explains what we saw.
    list(Secret.objects.select_for_update().filter(pk=check.secret_id))
    since = Q(finished_at__isnull=True) | Q(finished_at__gte=began)
    disturbed = Rotation.objects.filter(since, secret=check.secret_id).exists()
    pause = AGAIN if disturbed or problem else settings.DRIFT_EVERY
    values: dict[str, Any] = {
        "due_at": Now() + timedelta(seconds=min(pause, settings.DRIFT_EVERY)),
        "lease_until": None,
    }
    if not disturbed:
        values |= {"found": sentences, "problem": problem, "looked_at": Now()}
        if sentences != check.found:
            values["found_at"] = Now() if sentences else None
    if not DriftCheck.objects.filter(pk=check.pk, token=check.token).update(**values):
        return
    if not disturbed and bool(sentences) != bool(check.found):
        event = "drift_found" if sentences else "drift_over"
        logger.warning(event, extra={"secret": check.secret.name, "found": sentences})
        telling.tell_drift(check, sentences)
