"""Divides a report: what of it each endpoint hangs on, and what is left for the portal."""

from collections.abc import Callable, Iterator

from streams.doctor.facts import EndpointFacts
from streams.doctor.gathering import reached
from streams.doctor.run import Report


def of_endpoints(report: Report) -> Iterator[tuple[str, Report]]:
    """Each that was looked at, by its slug. What several hang on is in each of their shares."""
    for facts in _endpoints(report):
        reach = facts.about | facts.depends
        yield facts.endpoint, _share(report, reach.intersection)


def of_portal(report: Report) -> Report:
    """What no endpoint hangs on. To be asked of a report about all there is."""
    hung_on = reached().union(*(one.about | one.depends for one in _endpoints(report)))
    return _share(report, hung_on.isdisjoint)


def _endpoints(report: Report) -> list[EndpointFacts]:
    return [one for one in report.subjects if isinstance(one, EndpointFacts)]


def _share(report: Report, belongs: Callable[[frozenset[str]], object]) -> Report:
    """What is about something of which `belongs` is true."""
    return Report(
        passes=[one for one in report.passes if belongs(one.subject.about)],
        findings=[one for one in report.findings if belongs(one.subject.about)],
        skipped=[one for one in report.skipped if belongs(one.subject.about)],
        subjects=[one for one in report.subjects if belongs(one.about)],
    )
