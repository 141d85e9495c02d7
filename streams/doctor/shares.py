"""Divides a report: what of it each endpoint hangs on, and what is left for the portal."""

from collections.abc import Callable, Iterator

from streams.doctor.facts import (
    AccountFacts,
    EndpointFacts,
    IdentityFacts,
    RegionFacts,
    RotationFacts,
    Subject,
)
from streams.doctor.gathering import reached
from streams.doctor.run import Report

# The portal's too where an endpoint hangs on it.
_PORTALS = (AccountFacts, IdentityFacts, RegionFacts, RotationFacts)


def of_endpoints(report: Report) -> Iterator[tuple[str, Report]]:
    """Each that was looked at, by its slug. What several hang on is in each of their shares."""
    for facts in _endpoints(report):
        yield facts.endpoint, _share(report, _part_of(facts.about | facts.depends))


def of_portal(report: Report) -> Report:
    """What no endpoint hangs on. To be asked of a report about all there is."""
    hung_on = _part_of(reached().union(*(one.about | one.depends for one in _endpoints(report))))
    return _share(report, lambda one: isinstance(one, _PORTALS) or not hung_on(one))


def _endpoints(report: Report) -> list[EndpointFacts]:
    return [one for one in report.subjects if isinstance(one, EndpointFacts)]


def _part_of(parts: frozenset[str]) -> Callable[[Subject], bool]:
    return lambda one: not parts.isdisjoint(one.about)


def _share(report: Report, belongs: Callable[[Subject], bool]) -> Report:
    """What is about subjects that belong to it."""
    return Report(
        passes=[one for one in report.passes if belongs(one.subject)],
        findings=[one for one in report.findings if belongs(one.subject)],
        skipped=[one for one in report.skipped if belongs(one.subject)],
        subjects=[one for one in report.subjects if belongs(one)],
    )
