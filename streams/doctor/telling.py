"""What operators are told of the doctor: that something begins to fail, and that it ends."""

from streams.models import Checkup, DoctorRun, Health, Notice, NoticeEvent

WELL = (Health.HEALTHY, Health.DEGRADED)


def tell(before: Checkup, run: DoctorRun, reason: str) -> None:
    """Tells a change. Call it in the transaction that stores it, which holds the row `before`."""
    name = f"The export {before.endpoint.slug}" if before.endpoint else "The portal"
    if run.health == Health.FAILING and before.failing_since is None:
        _tell(NoticeEvent.DOCTOR_FAILING, before, run, f"{name} is failing: {reason}")
    if run.health in WELL and before.failing_since is not None:
        _tell(NoticeEvent.DOCTOR_OVER, before, run, f"{name} no longer fails.")


def _tell(event: NoticeEvent, before: Checkup, run: DoctorRun, summary: str) -> None:
    endpoint = before.endpoint
    errors = [one for one in run.report["findings"] if one["severity"] == "error"]
    Notice.objects.tell(
        event,
        # Of each run once: it is made in this transaction.
        key=f"doctor run {run.pk} {event}",
        summary=summary,
        data={
            "endpoint": endpoint.slug if endpoint else None,
            "endpoint_id": endpoint.pk if endpoint else None,
            "health": str(run.health),
            "findings": [f"{one['id']}: {one['sentence']}" for one in errors],
        },
    )
