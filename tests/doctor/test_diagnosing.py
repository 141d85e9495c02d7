"""Why a download failed: looked for soon after, once for all that fail meanwhile."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from streams.doctor import diagnosing
from streams.models import Download, Endpoint, Examination
from tests.doctor.conftest import Clinic


def failed(reason: str = "function_url_permission", *, slug: str = "orders", **fields: Any) -> str:
    """A download as delivery leaves it; its id."""
    ended: dict[str, Any] = {"state": "failed", "reason": reason, "status": 502}
    made = Download.objects.create(
        endpoint=Endpoint.objects.get(slug=slug), slug=slug, username="ann",
        **(ended | {"finished_at": timezone.now()} | fields),
    )  # fmt: skip
    return str(made.pk)


def causes() -> dict[str, str]:
    return {str(pk): cause for pk, cause in Download.objects.values_list("pk", "cause")}


def look() -> int:
    """What a tick does; how many exports were looked at."""
    found = diagnosing.due()
    for pk in found:
        diagnosing.look(pk)
    return len(found)


@pytest.fixture
def plain(transactional_db: None) -> Endpoint:
    """An export whose origin is not there."""
    return Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="http://127.0.0.1:1/"
    )


def test_all_that_failed_lately_get_the_cause_and_no_other_download_does(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    clinic.functions.remove_permission(FunctionName=clinic.name, StatementId="public-invoke")
    two = {failed(), failed()}
    others = {
        failed("origin_busy"),
        failed(finished_at=timezone.now() - diagnosing.RECENT),
        failed(reason="", state="complete"),
    }

    with caplog.at_level(logging.INFO, "streams.doctor"):
        assert look() == 1

    assert causes() == dict.fromkeys(two, "permission-invoke") | dict.fromkeys(others, "")
    (told,) = {one.diagnosis for one in Download.objects.exclude(cause="")}
    assert "lacks the statement that lets everybody call lambda:InvokeFunction" in told
    assert clinic.value not in told
    (line,) = [one for one in caplog.records if one.getMessage() == "download_diagnosed"]
    fields = {name: getattr(line, name) for name in ("export", "cause", "downloads")}
    assert fields == {"export": "orders", "cause": "permission-invoke", "downloads": 2}


def test_another_broken_way_to_the_same_function_is_no_cause(clinic: Clinic) -> None:
    clinic.rest(value="other-" + "o" * 32)
    Endpoint.objects.filter(slug="orders").update(url="http://127.0.0.1:1/")
    pk = failed("origin_unreachable")

    look()

    assert causes() == {pk: "url-differs"}


def test_what_has_passed_by_then_has_no_cause(clinic: Clinic) -> None:
    pk = failed()

    look()

    download = Download.objects.get(pk=pk)
    assert (download.cause, download.diagnosis) == ("", diagnosing._PASSED)


def test_where_aws_tells_nothing_the_failure_itself_is_described(plain: Endpoint) -> None:
    pk = failed("origin_unreachable")

    look()

    download = Download.objects.get(pk=pk)
    assert download.cause == "does-not-open"
    assert "The source could not be reached." in download.diagnosis


def test_an_export_is_looked_at_once_in_a_while_however_many_fail(plain: Endpoint) -> None:
    failed("origin_unreachable")
    assert look() == 1
    later = failed("origin_unreachable")

    assert look() == 0

    Examination.objects.update(due_at=Now())
    assert look() == 1
    assert causes()[later] == "does-not-open"


def test_one_that_somebody_makes_is_left_to_them(plain: Endpoint) -> None:
    pk = failed("origin_unreachable")
    (examination,) = diagnosing.due()
    Examination.objects.update(lease_until=Now() + timedelta(minutes=1))

    diagnosing.look(examination)

    assert diagnosing.due() == []
    assert causes() == {pk: ""}
    Examination.objects.update(lease_until=Now() - timedelta(seconds=1))
    assert diagnosing.due() == [examination]


def test_a_worker_that_another_has_overtaken_records_nothing(plain: Endpoint) -> None:
    pk = failed("origin_unreachable")
    (examination,) = diagnosing.due()
    claimed = diagnosing._claim(examination)
    assert claimed is not None
    Examination.objects.update(token=claimed.token + 1)

    diagnosing._record(claimed, timezone.now(), diagnosing.Diagnosis("Late.", "does-not-open"))

    assert causes() == {pk: ""}


def test_one_that_fails_meanwhile_waits_for_the_next_look(plain: Endpoint) -> None:
    pk = failed("origin_unreachable", finished_at=timezone.now() + timedelta(seconds=30))

    look()

    assert causes() == {pk: ""}


@pytest.mark.django_db
def test_nothing_is_looked_at_where_nothing_failed_or_the_export_is_gone(plain: Endpoint) -> None:
    failed("range_not_satisfiable")
    Download.objects.filter(pk=failed()).update(endpoint=None)

    assert diagnosing.due() == []
