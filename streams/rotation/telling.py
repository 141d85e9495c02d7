"""What operators are told of rotations: one notice for each change, however often it is seen.

A change is named by its key. Whoever sees it again, in another worker or after a crash, tells it
under the same key, which sends nothing.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from portal import each
from streams.models import DriftCheck, Notice, NoticeEvent, Rotation, RotationState, Secret
from streams.rotation import calendar

# How long a step may take beyond what it waits for, before somebody should look.
PATIENCE = timedelta(minutes=10)

_ENDS = {
    RotationState.COMPLETED: (NoticeEvent.ROTATION_COMPLETED, "has completed"),
    RotationState.ROLLED_BACK: (NoticeEvent.ROTATION_ROLLED_BACK, "was rolled back"),
    RotationState.FAILED: (NoticeEvent.ROTATION_FAILED, "has failed, and has changed nothing"),
}


def tell_state(pk: int) -> None:
    """Tells an end, or that help is needed. Call it in the transaction that has stored it."""
    rotation = Rotation.objects.select_related("secret").get(pk=pk)
    state = RotationState(rotation.state)
    if state == RotationState.STUCK:
        # The same trouble, met again at each attempt, is told once for each stretch.
        trouble = sha256(rotation.problem.encode()).hexdigest()[:12]
        Notice.objects.tell(
            NoticeEvent.ROTATION_STUCK,
            key=f"{_stretch(rotation)} {trouble}",
            summary=f"The rotation of {rotation.secret.name} needs help at {rotation.step}.",
            data=_described(rotation),
        )
    elif state in _ENDS:
        event, words = _ENDS[state]
        if rotation.was_given_up:
            words = "was given up, where it stood"
        Notice.objects.tell(
            event,
            key=f"rotation {pk} {state}",
            summary=f"The rotation of {rotation.secret.name} {words}.",
            data=_described(rotation),
        )


def tell_slow() -> None:
    """Tells of those that are at one step for longer than anything there should take."""
    waits = (settings.ROTATION_SETTLE, settings.ROTATION_PROPAGATION, settings.ROTATION_DRAIN)
    limit = PATIENCE + timedelta(seconds=max(waits))
    running = Rotation.objects.filter(state=RotationState.RUNNING)
    slow = running.filter(stretch_at__lte=Now() - limit).select_related("secret")
    each.attempt(slow, _tell_slow)


def _tell_slow(rotation: Rotation) -> None:
    # One that needed help in this stretch was told, and may have just begun to go on.
    if Notice.objects.filter(key__startswith=f"{_stretch(rotation)} ").exists():
        return
    Notice.objects.tell(
        NoticeEvent.ROTATION_STUCK,
        key=f"{_stretch(rotation)} slow",
        summary=(
            f"The rotation of {rotation.secret.name} is at {rotation.step} for longer than "
            "it should take."
        ),
        data=_described(rotation),
    )


def tell_overdue() -> None:
    """Tells of secrets that should have begun to rotate, once for each time that was missed."""
    scheduled = Secret.objects.filter(rotate_every__isnull=False, rotation_paused=False)
    each.attempt(calendar.with_past(scheduled).annotate(now=Now()), _tell_overdue)


def _tell_overdue(secret: Any) -> None:
    due = calendar.next_due(secret)
    if due is None or not calendar.is_overdue(secret, secret.now):
        return
    Notice.objects.tell(
        NoticeEvent.ROTATION_OVERDUE,
        key=f"secret {secret.pk} overdue {_instant(due)}",
        summary=f"The rotation of {secret.name} is overdue.",
        data={"secret": secret.name, "secret_id": secret.pk, "due_at": _instant(due)},
    )


def tell_drift(check: DriftCheck, sentences: str) -> None:
    """Tells that AWS differs from us, or no longer does where `sentences` is empty."""
    event = NoticeEvent.DRIFT_FOUND if sentences else NoticeEvent.DRIFT_OVER
    words = "has been changed in AWS" if sentences else "is in AWS as it should be again"
    Notice.objects.tell(
        event,
        # Only one worker records with this token, and does so once.
        key=f"secret {check.secret_id} {event} {check.token}",
        summary=f"The secret {check.secret.name} {words}.",
        data={
            "secret": check.secret.name,
            "secret_id": check.secret_id,
            "found": sentences.splitlines(),
        },
    )


def _stretch(rotation: Rotation) -> str:
    return f"rotation {rotation.pk} stuck {_instant(rotation.stretch_at)}"


def _described(rotation: Rotation) -> dict[str, Any]:
    """Without a value: problems and waits are sentences that bear none."""
    return {
        "secret": rotation.secret.name,
        "rotation_id": rotation.pk,
        "mode": rotation.mode,
        "state": rotation.state,
        "step": rotation.step,
        "problem": rotation.problem or None,
        "waiting_for": rotation.waiting or None,
        "requested_by": rotation.requested_by,
        "started_at": _instant(rotation.started_at),
    }


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
