"""One examination: gathers, judges, and tells causes apart from what follows from them."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from streams.aws.account import Account
from streams.doctor.checks import ALL, Check, Finding, Severity, SkippedError, UnsureError
from streams.doctor.facts import Subject
from streams.doctor.gathering import Gatherer
from streams.doctor.installation import portal
from streams.models import Endpoint

_RANK = list(Severity)


@dataclass(frozen=True)
class Passed:
    """A check of a subject that found nothing."""

    check: Check
    subject: Subject


@dataclass(frozen=True)
class Skipped:
    """A check that could not tell, or that tells no more than another one's finding.

    `unsure`: what it found before may still be so. `follows`: it found what another one explains.
    """

    check: Check
    subject: Subject
    reason: str
    unsure: bool = False
    follows: bool = False


@dataclass
class Report:
    """What came of a run. `subjects` are all that was looked at."""

    passes: list[Passed] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    subjects: list[Subject] = field(default_factory=list, repr=False)

    @property
    def passed(self) -> int:
        """How many checks of a subject found nothing."""
        return len(self.passes)

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


def examine_endpoint(endpoint: Endpoint, account: Account, *, seconds: float) -> Report:
    """Looks at this one and all that it hangs on, and not at the portal.

    It need not be stored as it is here, or at all: so one is looked at before it is saved. Its
    secret must be.
    """
    gatherer = Gatherer(account, time.monotonic() + seconds, _silent, draft=endpoint)
    return judged(gatherer.of_endpoint(endpoint))


def examine_rest(account: Account, *, seconds: float) -> Report:
    """Looks at this portal, and at what no endpoint hangs on."""
    gatherer = Gatherer(account, time.monotonic() + seconds, _silent)
    return judged([portal(), *gatherer.rest()])


def judged(subjects: Iterable[Subject]) -> Report:
    """The same over facts that are there. Causes come first, then what is less severe."""
    report = Report()
    for subject in subjects:
        report.subjects.append(subject)
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
        unsure = isinstance(exc, UnsureError)
        report.skipped.append(Skipped(check, subject, str(exc), unsure=unsure))
        return
    report.findings += [Finding(check, subject, one) for one in found]
    if not found:
        report.passes.append(Passed(check, subject))


def _explain(report: Report) -> None:
    """Takes out what follows from another finding."""
    told = []
    for finding in report.findings:
        cause = _cause(finding, report.findings)
        if cause is None:
            told.append(finding)
            continue
        reason = f"It follows from {cause.check.id}, {cause.subject.name}."
        report.skipped.append(Skipped(finding.check, finding.subject, reason, follows=True))
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


def _silent(_: str) -> None:
    """For runs that nobody watches."""
