"""What operators are told of the doctor: that something begins to fail, and that it ends.

What several exports fail by is told of the first one alone. Who has told a beginning tells its end;
should the others still fail then, one of them tells that with its next run.
"""

import hashlib
from typing import Any

from streams.doctor import comparing
from streams.models import Checkup, DoctorRun, Health, Notice, NoticeEvent

WELL = (Health.HEALTHY, Health.DEGRADED)


def tell(before: Checkup, run: DoctorRun, reason: str) -> str:
    """Tells a change, and returns what has been told then (`Checkup.told`).

    Call it in the transaction that stores it, which holds the row `before`.
    """
    name = f"The export {before.endpoint.slug}" if before.endpoint else "The portal"
    if run.health == Health.FAILING and not before.told:
        cause = _cause(run)
        if _is_told_elsewhere(before, cause):
            return ""
        _tell(NoticeEvent.DOCTOR_FAILING, before, run, f"{name} is failing: {reason}")
        return cause
    if run.health in WELL:
        if before.told:
            _tell(NoticeEvent.DOCTOR_OVER, before, run, f"{name} no longer fails.")
        return ""
    return before.told


def _cause(run: DoctorRun) -> str:
    """The same for those that fail by the same findings of the same subjects."""
    names = sorted(comparing.key(one) for one in _errors(run))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _is_told_elsewhere(before: Checkup, cause: str) -> bool:
    failing = Checkup.objects.filter(failing_since__isnull=False, told=cause)
    return failing.exclude(pk=before.pk).exists()


def _errors(run: DoctorRun) -> list[dict[str, Any]]:
    return [one for one in run.report["findings"] if one["severity"] == "error"]


def _tell(event: NoticeEvent, before: Checkup, run: DoctorRun, summary: str) -> None:
    endpoint = before.endpoint
    Notice.objects.tell(
        event,
        # Of each run once: it is made in this transaction.
        key=f"doctor run {run.pk} {event}",
        summary=summary,
        data={
            "endpoint": endpoint.slug if endpoint else None,
            "endpoint_id": endpoint.pk if endpoint else None,
            "health": str(run.health),
            "findings": [f"{one['id']}: {one['sentence']}" for one in _errors(run)],
        },
    )
