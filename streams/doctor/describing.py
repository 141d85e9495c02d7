"""A report in the form that is stored and that machines read: stable, and without a value."""

from typing import Any

from streams.doctor.checks import Finding
from streams.doctor.facts import Subject
from streams.doctor.run import Report, Skipped


def described(report: Report) -> dict[str, Any]:
    """What `--json` tells. Not yet what repairs would do: that is read when it is asked for."""
    return {
        "ok": not report.fails,
        "passed": report.passed,
        "findings": [finding(one) for one in report.findings],
        "skipped": [skipped(one) for one in report.skipped],
    }


def finding(one: Finding) -> dict[str, Any]:
    return {
        "id": one.check.id,
        "severity": str(one.check.severity),
        "title": one.check.title,
        **_place(one.subject),
        "sentence": one.found.sentence,
        "evidence": list(one.found.evidence),
        "consequence": one.check.consequence,
        "fix": one.found.fix,
        "cli": list(one.found.cli),
        "terraform": one.found.terraform,
        "repair": {"sentence": one.found.repair.sentence} if one.found.repair else None,
    }


def skipped(one: Skipped) -> dict[str, Any]:
    return {"id": one.check.id, **_place(one.subject), "reason": one.reason}


def _place(subject: Subject) -> dict[str, Any]:
    return {
        "subject": subject.name,
        "endpoint": subject.endpoint or None,
        "secret": subject.secret_name or None,
    }
