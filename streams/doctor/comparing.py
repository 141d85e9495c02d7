"""What a run found beside what the one before it had found, in the form that is stored."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from streams.doctor import describing
from streams.doctor.checks import Severity
from streams.doctor.run import Report
from streams.models import DoctorRun, Health
from streams.models.health import lasting

# Whether a download begins: where that could not be seen, an endpoint's health is not known.
OPENS = "does-not-open"

Stored = dict[str, Any]


def key(one: Stored) -> str:
    """Names a finding from run to run."""
    return f"{one['id']} {one['subject']}"


def compared(report: Report, before: DoctorRun | None, now: datetime) -> Stored:
    """The report as it is stored, with what is new and what is gone since the run before.

    What that one found, and this one could not look at, stays among the findings for a while, with
    `seen_at`: a cloud that is silent mends nothing.
    """
    found = [describing.finding(one) for one in report.findings]
    old = before.report["findings"] if before else []
    known, seen = _keys(old), _keys(found)
    unsure = _keys(describing.skipped(one) for one in report.skipped if one.unsure)
    follows = _keys(describing.skipped(one) for one in report.skipped if one.follows)
    kept = [
        {"seen_at": before.ended_at.isoformat()} | one
        for one in old
        if before and key(one) in unsure - seen
    ]
    kept = [one for one in kept if datetime.fromisoformat(one["seen_at"]) > now - lasting()]
    return {
        "findings": sorted(found + kept, key=_severity),
        "passed": [
            {"id": one.check.id, "title": one.check.title, "subject": one.subject.name}
            for one in report.passes
        ],
        "skipped": [describing.skipped(one) | {"title": one.check.title} for one in report.skipped],
        "new": [one for one in found if before and key(one) not in known],
        "gone": [one for one in old if key(one) not in seen | unsure | follows],
        "since": before.ended_at.isoformat() if before else None,
    }


def health(report: Report, stored: Stored) -> tuple[Health, str]:
    """How that is, and a sentence that says why; empty where all is well."""
    worst = {one["severity"]: one for one in reversed(stored["findings"])}
    if Severity.ERROR in worst:
        return Health.FAILING, worst[Severity.ERROR]["sentence"]
    if Severity.WARNING in worst:
        return Health.DEGRADED, worst[Severity.WARNING]["sentence"]
    for one in report.skipped:
        if one.check.id == OPENS and one.unsure:
            return Health.UNKNOWN, one.reason
    return Health.HEALTHY, ""


def _keys(described: Iterable[Stored]) -> set[str]:
    return {key(one) for one in described}


def _severity(one: Stored) -> int:
    return list(Severity).index(Severity(one["severity"]))
