"""`manage.py doctor`: what it ends with, what it shows, and that what it advises helps."""

import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from streams.doctor import run
from streams.models import Checkup, DoctorRun, Endpoint, Health, Secret, Why
from streams.rotation import engine, starting
from tests.doctor.conftest import Clinic, doctor
from tests.doctor.test_gateways import OTHER, _append, _unquoted, remap

FINDING = {
    "id", "severity", "title", "subject", "endpoint", "secret", "sentence", "evidence",
    "consequence", "fix", "cli", "terraform", "repair",
}  # fmt: skip


def test_the_table_says_what_is_wrong_and_what_to_do(clinic: Clinic) -> None:
    clinic.set_variables(SECRET_HEADER=OTHER)

    text = " ".join(re.sub("[─-╿]", " ", clinic.write("orders")).split())

    assert clinic.status == 1
    assert "environment-differs" in text
    assert "holds another value than this portal" in text
    assert "manage.py rotate orders --repair" in text
    assert "1 error, 0 warning, 0 info" in text
    assert OTHER not in clinic.told


def test_the_json_has_its_documented_shape(clinic: Clinic) -> None:
    clinic.set_variables(SECRET_HEADER=OTHER)

    told = clinic.run("orders")

    assert set(told) == {"ok", "passed", "findings", "skipped", "since", "new", "gone"}
    assert set(told["findings"][0]) == FINDING
    assert {key for one in told["skipped"] for key in one} == {
        "id", "subject", "endpoint", "secret", "reason",
    }  # fmt: skip
    (refused,) = (one for one in told["skipped"] if one["id"] == "secret-refused")
    assert refused["endpoint"] == "orders"
    assert "follows from environment-differs, function" in refused["reason"]


@pytest.mark.django_db
def test_an_unknown_endpoint_ends_with_2() -> None:
    assert doctor("nothing") == (2, "", "There is no endpoint nothing.")


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_not_migrated_ends_with_2() -> None:
    with connection.schema_editor() as editor:
        editor.alter_db_table(Endpoint, "streams_endpoint", "streams_elsewhere")
    try:
        status, out, err = doctor()
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(Endpoint, "streams_elsewhere", "streams_endpoint")

    assert (status, out) == (2, "")
    assert re.search(r"The database cannot be read \((Operational|Programming)Error\)", err)


@pytest.mark.django_db
def test_where_nothing_is_registered_the_portal_alone_is_looked_at() -> None:
    status, out, err = doctor()

    assert status == 0
    assert re.search(r"0 error, 0 warning, 0 info; \d+ checks passed, \d+ skipped\.", out)
    assert err.splitlines() == ["looking at portal"]


def test_one_slug_leaves_the_others_alone(clinic: Clinic) -> None:
    Endpoint.objects.create(slug="inner", title="Inner", kind="http", url="http://10.0.0.1/")
    Secret.objects.create(name="people")

    told = clinic.run("orders")

    assert told["findings"] == []
    assert "inner" not in clinic.told
    assert "people" not in clinic.told


def test_when_its_time_is_up_the_rest_is_skipped_with_that_reason(clinic: Clinic) -> None:
    clinic.rest()

    told = clinic.run("--seconds", "0")

    assert [one["id"] for one in told["findings"]] == ["function-unreadable", "gateway-unreadable"]
    assert all("TimeIsUp" in one["sentence"] for one in told["findings"])
    assert any("time of this run was up" in one["reason"] for one in told["skipped"])
    assert clinic.status == 0


def test_an_aws_that_is_away_is_no_fault_of_the_function(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")

    told = clinic.run()

    (finding,) = told["findings"]
    assert (finding["id"], clinic.status) == ("function-unreadable", 0)
    assert "did not answer (GetFunctionConfiguration, EndpointConnection" in finding["sentence"]


def test_a_rotation_that_begins_meanwhile_is_no_fault(clinic: Clinic) -> None:
    clinic.rest()

    def say(what: str) -> None:
        if what == "secret orders":
            starting.start(clinic.secret, by="ada")
            clinic.set_variables(SECRET_HEADER_NEXT=OTHER)

    report = run.examine(None, engine.account(), seconds=60, say=say)

    assert report.findings == []
    skipped = {one.check.id for one in report.skipped if "rotation of orders" in one.reason}
    assert {"environment-next", "environment-differs", "mapping-differs"} <= skipped


@pytest.mark.slow
@pytest.mark.parametrize(
    ("identity", "break_it"), [("mapping-unquoted", _unquoted), ("mapping-append", _append)]
)
def test_the_repair_that_it_advises_mends_it(
    clinic: Clinic, settings: Settings, identity: str, break_it: Callable[[Clinic], None]
) -> None:
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 0.5
    break_it(clinic)
    clinic.set_variables(SECRET_HEADER=OTHER, SECRET_HEADER_NEXT=OTHER)
    found = clinic.run()["findings"]
    assert {one["id"] for one in found} == {
        "environment-differs", "environment-next", identity,
    }  # fmt: skip
    (advised,) = {line for one in found for line in one["cli"]}

    call_command(*advised.split()[1:], "--wait", stderr=io.StringIO())

    assert clinic.run()["findings"] == []


def test_a_run_is_stored_and_the_next_one_tells_the_difference(clinic: Clinic) -> None:
    gateway = clinic.rest()
    first = clinic.run()
    assert (first["since"], first["new"], first["gone"]) == (None, [], [])

    remap(clinic, gateway, clinic.value)
    second, third = clinic.run(), clinic.run()

    assert [one["id"] for one in second["new"]] == ["mapping-unquoted"]
    assert second["since"] is not None
    assert (third["new"], third["gone"]) == ([], [])
    # What goes through the gateway fails, and what calls the function's URL does not.
    health = {one.slug: one.health for one in Endpoint.objects.with_health()}  # type: ignore[attr-defined]
    assert health == {"orders": Health.HEALTHY, "through-rest": Health.FAILING}
    assert Checkup.objects.get(endpoint=None).health == Health.HEALTHY
    stored = str(list(DoctorRun.objects.values_list("report", flat=True)))
    assert clinic.value not in stored

    remap(clinic, gateway, f"'{clinic.value}'")
    text = " ".join(clinic.write("through-rest").split())
    assert "Gone since the last run: mapping-unquoted," in text


@pytest.mark.django_db(transaction=True)
def test_a_run_that_cannot_be_stored_is_told_all_the_same() -> None:
    with connection.schema_editor() as editor:
        editor.alter_db_table(DoctorRun, "streams_doctorrun", "streams_elsewhere")
    try:
        status, out, err = doctor("--json")
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(DoctorRun, "streams_elsewhere", "streams_doctorrun")

    assert (status, json.loads(out)["findings"]) == (0, [])
    assert re.search(r"could not be stored \((Operational|Programming)Error\)", err)


def test_an_endpoint_is_looked_at_before_it_is_saved(clinic: Clinic) -> None:
    Endpoint.objects.all().delete()
    draft = Endpoint(
        slug="new", title="New", kind="function-url", url=clinic.url, auth="secret-header",
        secret=clinic.secret,
    )  # fmt: skip

    well = run.examine_endpoint(draft, engine.account(), seconds=60)
    draft.auth, draft.region = "sigv4", clinic.aws.region
    signed = run.examine_endpoint(draft, engine.account(), seconds=60)

    assert well.findings == []
    assert {"url-buffered", "does-not-open", "secret-refused"} <= {p.check.id for p in well.passes}
    assert "url-auth" in {one.check.id for one in signed.findings}
    assert not Endpoint.objects.exists()
    assert not Checkup.objects.exists()


def test_apply_tells_what_the_doctor_finds_and_refuses_nothing(
    clinic: Clinic, tmp_path: Path
) -> None:
    registry = tmp_path / "registry.yaml"
    out = io.StringIO()
    call_command("export_registry", stdout=out)
    registry.write_text(out.getvalue().replace("title: Orders", "title: All orders"))
    clinic.set_variables(SECRET_HEADER=OTHER)
    doctor()
    Checkup.objects.update(due_at=timezone.now() + timedelta(hours=1))

    out = io.StringIO()
    call_command("apply", str(registry), "--examine", stdout=out, stderr=io.StringIO())
    again = io.StringIO()
    call_command("apply", str(registry), "--examine", stdout=again, stderr=io.StringIO())

    assert "changed endpoint orders (title)" in out.getvalue()
    assert "environment-differs" in out.getvalue()
    assert again.getvalue().splitlines() == ["unchanged secret orders", "unchanged endpoint orders"]
    assert Checkup.objects.get(endpoint__slug="orders").why == Why.CHANGE
