"""What is new, what is gone, and what only could not be seen."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django.fixtures import Settings

from streams.doctor.comparing import compared, health
from streams.doctor.facts import Answer, Subject, Unread
from streams.doctor.run import judged
from streams.models import DoctorRun, Health
from tests.doctor.test_checks import BLIND, ENDPOINT, FUNCTION, OTHER, SECRET, VALUE, configured

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BROKEN = configured(variables={"SECRET_HEADER": OTHER})
REFUSED = replace(ENDPOINT, right=Answer("origin_forbidden", "Refused.", "Compare."))


def run(*subjects: Subject, before: DoctorRun | None = None, at: datetime = NOW) -> DoctorRun:
    report = judged(subjects)
    stored = compared(report, before, at)
    state, _ = health(report, stored)
    # As it comes back from the database.
    return DoctorRun(report=json.loads(json.dumps(stored)), health=state, ended_at=at)


def ids(run: DoctorRun, what: str) -> list[str]:
    return [one["id"] for one in run.report[what]]


def test_a_first_run_has_nothing_to_compare_with() -> None:
    first = run(BROKEN, ENDPOINT)

    assert (ids(first, "findings"), ids(first, "new")) == (["environment-differs"], [])
    assert first.report["since"] is None
    assert first.health == Health.FAILING


def test_what_appears_is_new_once_and_what_disappears_is_gone_once() -> None:
    well = run(FUNCTION, ENDPOINT)
    broken = run(BROKEN, ENDPOINT, before=well)
    still = run(BROKEN, ENDPOINT, before=broken)
    mended = run(FUNCTION, ENDPOINT, before=still)
    after = run(FUNCTION, ENDPOINT, before=mended)

    assert [ids(one, "new") for one in (broken, still)] == [["environment-differs"], []]
    assert [ids(one, "gone") for one in (mended, after)] == [["environment-differs"], []]
    assert [one.health for one in (well, still, mended)] == ["healthy", "failing", "healthy"]


def test_where_aws_is_silent_nothing_is_mended(settings: Settings) -> None:
    settings.DOCTOR_EVERY = 3600
    fault = replace(BLIND, qualifier="", alias=None)
    broken = run(BROKEN, ENDPOINT)

    blind = run(fault, ENDPOINT, before=broken, at=NOW + HOUR)
    longer = run(fault, ENDPOINT, before=blind, at=NOW + 2 * HOUR)
    too_long = run(fault, ENDPOINT, before=longer, at=NOW + 3 * HOUR)
    mended = run(FUNCTION, ENDPOINT, before=longer, at=NOW + 2 * HOUR)

    assert ids(blind, "findings") == ["environment-differs", "function-unreadable"]
    assert blind.report["findings"][0]["seen_at"] == broken.ended_at.isoformat()
    assert (blind.health, blind.report["gone"]) == (Health.FAILING, [])
    assert longer.health == Health.FAILING
    assert (ids(too_long, "findings"), too_long.health) == (["function-unreadable"], "degraded")
    assert (mended.health, ids(mended, "gone")[:1]) == (Health.HEALTHY, ["environment-differs"])


def test_while_a_rotation_is_under_way_what_was_found_stays() -> None:
    moving = replace(FUNCTION, secret=replace(SECRET, rotating=True))

    during = run(moving, ENDPOINT, before=run(BROKEN, ENDPOINT))

    assert (ids(during, "findings"), during.report["gone"]) == (["environment-differs"], [])


def test_what_a_cause_explains_is_neither_told_nor_gone() -> None:
    refused = run(FUNCTION, REFUSED)
    assert ids(refused, "findings") == ["secret-refused"]

    explained = run(BROKEN, REFUSED, before=refused)

    assert ids(explained, "findings") == ["environment-differs"]
    assert explained.report["gone"] == []


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        (Unread("The time of this run was up."), Health.UNKNOWN),
        (Answer("origin_status", "500.", "See its log."), Health.FAILING),
        (Answer(part=True, etag='"v1"'), Health.HEALTHY),
    ],
)
def test_where_no_download_could_be_tried_its_health_is_unknown(
    right: Answer | Unread, expected: Health
) -> None:
    assert run(FUNCTION, replace(ENDPOINT, right=right)).health == expected


def test_no_value_is_stored() -> None:
    stored = run(BROKEN, REFUSED)

    assert OTHER not in str(stored.report)
    assert VALUE not in str(stored.report)
