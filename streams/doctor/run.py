"""One examination: gathers, judges, and tells causes apart from what follows from them."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from streams.aws.account import Account
from streams.doctor.checks import ALL, Check, Finding, Severity, SkippedError
from streams.doctor.facts import Subject
from streams.doctor.gathering import Gatherer
from streams.doctor.installation import portal
from streams.models import Endpoint

_RANK = list(Severity)


@dataclass(frozen=True)
class Skipped:
    """A check that could not tell, or that tells no more than another one's finding."""

    check: Check
    subject: Subject
    reason: str


@dataclass
class Report:
    """What came of a run. `passed` counts checks of a subject that found nothing."""

    passed: int = 0
    findings: list[Finding] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def fails(self) -> bool:
        """Whether there is an error among the findings."""
        return any(one.check.severity == Severity.ERROR for one in self.findings)


def examine(
    endpoints: list[Endpoint] | None,
    account: Account,
    *,
    seconds: float,
    say: Callable[[str], None],
    web: bool = False,
) -> Report:
    """Looks at these endpoints and all that they hang on (None: all there is), and at this portal.

    What could not be read within `seconds` is skipped. `say` hears what is looked at. `web`: this
    process's identity is judged as the web process's, which rotates nothing.
    """
    gatherer = Gatherer(account, time.monotonic() + seconds, say, web)
    say("portal")
    return judged([portal(), *gatherer.subjects(endpoints)])


def judged(subjects: Iterable[Subject]) -> Report:
    """The same over facts that are there. Causes come first, then what is less severe."""
    report = Report()
    for subject in subjects:
        for check in ALL:
            if isinstance(subject, check.of):
                _judge(report, check, subject)
    _explain(report)
    report.findings.sort(key=lambda one: _RANK.index(one.check.severity))
    return report


def _judge(report: Report, check: Check, subject: Subject) -> None:
    try:
        found = check.found(subject)
    except SkippedError as exc:
        report.skipped.append(Skipped(check, subject, str(exc)))
        return
    report.findings += [Finding(check, subject, one) for one in found]
    report.passed += not found


def _explain(report: Report) -> None:
    """Takes out what follows from another finding."""
    told = []
    for finding in report.findings:
        cause = _cause(finding, report.findings)
        if cause is None:
            told.append(finding)
            continue
        reason = f"It follows from {cause.check.id}, {cause.subject.name}."
        report.skipped.append(Skipped(finding.check, finding.subject, reason))
    report.findings = told


def _cause(finding: Finding, others: list[Finding]) -> Finding | None:
    own = finding.subject
    reach = own.about | own.depends
    return next(
        (
            one
            for one in others
            if one.check.id in finding.check.follows_from and one.subject.about & reach
        ),
        None,
    )
