"""Repairs from the doctor's page, and the check before an endpoint is saved: over the sandbox."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from portal.celery import app
from streams.access.roles import Role
from streams.doctor import run, storing
from streams.models import (
    AuditEntry,
    Checkup,
    DoctorRun,
    Endpoint,
    ProvisioningTurn,
    Rotation,
    User,
    Why,
)
from streams.rotation import engine, starting
from tests.admin.test_admin import ENDPOINT_FORM, stored
from tests.doctor import conftest
from tests.doctor import test_faults as faults
from tests.doctor.conftest import Clinic
from tests.doctor.test_repairs import changes
from tests.rotation.proxy import Fault, Proxy

aws, account, clinic, proxy = conftest.aws, conftest.account, conftest.clinic, conftest.proxy


@pytest.fixture(autouse=True)
def _short(settings: Settings) -> Iterator[None]:
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 0.3
    made = Celery("tests", broker="memory://")
    made.set_current()
    yield
    app.set_current()


def person(role: Role, name: str = "op", *, strict: bool = False) -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client(enforce_csrf_checks=strict)
    client.force_login(user)
    return client


def examined(clinic: Clinic) -> str:
    """Stores what the doctor finds at the endpoint. The address of its page."""
    row, _ = Checkup.objects.get_or_create(endpoint=Endpoint.objects.get(slug="orders"))
    report = run.examine_endpoint(row.endpoint, engine.account(), seconds=60)  # type: ignore[arg-type]
    storing.record(row, report, why=Why.SCHEDULE, seconds=1)
    return reverse("admin:streams_endpoint_doctor", args=[row.endpoint_id])


def repair_page() -> str:
    """Of the only finding that the last run has."""
    (finding,) = DoctorRun.objects.latest("pk").report["findings"]
    assert finding["repair"]
    return reverse("admin:doctor_fix", args=[DoctorRun.objects.latest("pk").pk, 0])


def rows() -> list[Any]:
    """All that is stored, but for how often AWS was asked."""
    return [one for one in json.loads(stored()) if one["model"] != "streams.callbucket"]


def text(answer: Any) -> str:
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def fixed(client: Client, page: str, shown: str = "") -> str:
    """Presses the button of a page as it was shown."""
    shown = shown or client.get(page).context["shown"]
    return text(client.post(page, {"shown": shown}))


def test_a_missing_statement_is_shown_mended_recorded_and_gone(
    clinic: Clinic, proxy: Proxy
) -> None:
    faults._second_statement_is_gone(clinic)
    operator, doctor = person(Role.OPERATOR), examined(clinic)
    page, before = repair_page(), rows()
    assert f'href="{page}"' in text(operator.get(doctor))

    told = text(operator.get(page))

    assert f"Everybody may call the URL of {clinic.name}, once it is proven that it checks." in told
    assert "lambda:InvokeFunction is permitted to everybody, where" in told
    assert f"Call: lambda AddPermission(FunctionName={clinic.name}, StatementId=" in told
    assert "Everybody who knows the URL reaches the function then" in told
    assert f'href="{doctor}"' in told
    assert (changes(proxy), rows()) == ([], before)

    done = fixed(operator, page)

    assert "It is mended" in done
    assert "lambda:InvokeFunction is permitted to everybody" in done
    assert [call.operation for call in changes(proxy)] == ["AddPermission"]
    entries = AuditEntry.objects.filter(action__startswith="doctor.").order_by("pk")
    assert [(one.action, one.actor) for one in entries] == [
        ("doctor.repair-begun", "op"), ("doctor.repaired", "op"),
    ]  # fmt: skip
    asked = Checkup.objects.due().get(endpoint__slug="orders")
    assert (asked.why, asked.asked_by) == (Why.DEMAND, "op")
    assert "There is nothing to mend" in text(operator.get(page))
    examined(clinic)
    assert DoctorRun.objects.latest("pk").report["findings"] == []
    assert page not in text(operator.get(doctor))
    clinic.told += told + done


def test_it_is_for_those_who_may_change_what_it_touches(clinic: Clinic, proxy: Proxy) -> None:
    faults._second_statement_is_gone(clinic)
    doctor = examined(clinic)
    page, operator = repair_page(), person(Role.OPERATOR)
    shown = operator.get(page).context["shown"]
    viewer = person(Role.VIEWER, "viewer")

    assert page not in text(viewer.get(doctor))
    assert viewer.get(page).status_code == 403
    assert viewer.post(page, {"shown": shown}).status_code == 403
    strict = person(Role.OPERATOR, "strict", strict=True)
    assert strict.post(page, {"shown": shown}).status_code == 403
    # The same function serves what another team alone operates.
    secret, team = clinic.secret, Group.objects.create(name="team")
    Endpoint.objects.create(
        slug="theirs", title="Theirs", kind="function-url", url=clinic.url, auth="secret-header",
        secret=secret, operators=team,
    )  # fmt: skip
    assert page not in text(operator.get(doctor))
    assert operator.post(page, {"shown": shown}).status_code == 403

    assert changes(proxy) == []
    assert not AuditEntry.objects.filter(action__startswith="doctor.").exists()


def test_what_cannot_begin_says_why_and_changes_nothing(clinic: Clinic, proxy: Proxy) -> None:
    faults._second_statement_is_gone(clinic)
    examined(clinic)
    page, operator = repair_page(), person(Role.OPERATOR)
    shown = operator.get(page).context["shown"]
    assert "not as it was when this was shown" in fixed(operator, page, "another one")
    starting.start(clinic.secret, by="ada")

    told = text(operator.get(page))

    assert "It cannot begin now" in told
    assert "rotation of orders is under way" in told
    assert "Fix it" not in told
    assert "rotation of orders is under way" in fixed(operator, page, shown)
    assert changes(proxy) == []
    assert ProvisioningTurn.objects.free().exists()


def test_what_aws_denies_is_taken_back_and_told(clinic: Clinic, proxy: Proxy) -> None:
    for name in ("public-url", "public-invoke"):
        clinic.functions.remove_permission(FunctionName=clinic.name, StatementId=name)
    examined(clinic)
    operator = person(Role.OPERATOR)
    page = reverse("admin:doctor_fix", args=[DoctorRun.objects.latest("pk").pk, 0])
    proxy.fail("lambda:AddPermission", Fault.DENIED, nth=2)

    told = fixed(operator, page)

    assert "It is not mended" in told
    assert "AWS does not allow it" in told
    assert "Taken back</h2> <ul> <li>" in told
    assert "lambda:InvokeFunctionUrl is not permitted." in told
    assert "manage.py doctor orders --fix" in told
    assert Checkup.objects.due().filter(endpoint__slug="orders").exists()


def test_where_aws_lets_the_web_process_read_nothing_that_is_said(
    clinic: Clinic, proxy: Proxy
) -> None:
    faults._second_statement_is_gone(clinic)
    examined(clinic)
    page, operator = repair_page(), person(Role.OPERATOR)
    for name in ("GetPolicy", "GetFunctionConfiguration", "GetFunctionUrlConfig"):
        proxy.fail(f"lambda:{name}", Fault.DENIED)

    told = text(operator.get(page))

    assert "It cannot begin now" in told
    assert "manage.py doctor orders --fix" in told


def test_a_value_is_put_back_by_workers(clinic: Clinic) -> None:
    faults._variable_differs(clinic)
    examined(clinic)
    page, operator = repair_page(), person(Role.OPERATOR)
    shown = text(operator.get(page))

    told = fixed(operator, page)

    rotation = Rotation.objects.get()
    assert (rotation.mode, rotation.requested_by) == ("repair", "op")
    assert reverse("admin:streams_rotation_change", args=[rotation.pk]) in told
    assert faults.OTHER not in shown + told
    clinic.told += shown + told


def test_of_two_clicks_at_once_one_does_it(clinic: Clinic, proxy: Proxy) -> None:
    faults._second_statement_is_gone(clinic)
    examined(clinic)
    page, operators = repair_page(), [person(Role.OPERATOR, name) for name in ("ada", "bob")]
    shown = operators[0].get(page).context["shown"]
    told: list[str] = []

    def click(client: Client) -> None:
        told.append(fixed(client, page, shown))
        connection.close()

    both = [threading.Thread(target=click, args=[one]) for one in operators]
    for one in both:
        one.start()
    for one in both:
        one.join()

    assert [call.operation for call in changes(proxy)] == ["AddPermission"]
    assert sum("It is mended" in one for one in told) == 1
    assert sum("nothing to mend" in one or "cannot begin now" in one for one in told) == 1


@pytest.mark.parametrize(("run_pk", "number"), [(0, 0), (None, 7)])
def test_there_is_no_page_for_what_was_not_found(
    clinic: Clinic, run_pk: int | None, number: int
) -> None:
    faults._second_statement_is_gone(clinic)
    examined(clinic)
    pk = DoctorRun.objects.latest("pk").pk if run_pk is None else run_pk

    page = reverse("admin:doctor_fix", args=[pk, number])

    assert person(Role.OPERATOR).get(page).status_code == 404


def form(clinic: Clinic, **fields: str) -> dict[str, str]:
    return ENDPOINT_FORM | {
        "title": "Fresh", "slug": "fresh", "kind": "function-url", "url": clinic.url,
        "auth": "secret-header", "secret": str(clinic.secret.pk), **fields,
    }  # fmt: skip


def test_a_check_before_saving_tells_what_is_found_and_stores_nothing(
    clinic: Clinic, proxy: Proxy
) -> None:
    faults._second_statement_is_gone(clinic)
    administrator, before = person(Role.ADMINISTRATOR), rows()
    add = reverse("admin:streams_endpoint_add_all")
    assert 'name="_check"' in text(administrator.get(add))

    told = text(administrator.post(add, form(clinic, description="By hand.", _check="")))

    assert "Checked, not saved: 1 finding </h2>" in told
    assert "(permission-invoke, function " in told
    assert 'value="fresh"' in told
    assert "By hand.</textarea>" in told
    assert changes(proxy) == []
    assert rows() == before
    clinic.told += told
    # An endpoint that is there is looked at as the form has it.
    endpoint = Endpoint.objects.get()
    change = reverse("admin:streams_endpoint_change", args=[endpoint.pk])
    other = form(clinic, slug="orders", url=f"{clinic.url}?nothing=here", secret="", auth="none")
    assert "Checked, not saved:" in text(administrator.post(change, other | {"_check": ""}))
    assert rows() == before

    saved = administrator.post(add, form(clinic))

    assert saved.status_code == 302
    assert Endpoint.objects.filter(slug="fresh").exists()


def test_what_a_form_may_not_say_is_not_asked_either(clinic: Clinic, proxy: Proxy) -> None:
    """Whoever could have a secret sent anywhere would read it there."""
    operator, viewer = person(Role.OPERATOR), person(Role.VIEWER, "viewer")
    add = reverse("admin:streams_endpoint_add_all")
    change = reverse("admin:streams_endpoint_change", args=[Endpoint.objects.get().pk])

    refused = text(operator.post(add, form(clinic, _check="")))
    wrong = text(operator.post(add, ENDPOINT_FORM | {"slug": "Not A Slug", "_check": ""}))

    assert "is for an administrator to say" in refused
    assert "Use lower-case letters" in wrong
    assert "Checked, not saved" not in refused + wrong
    assert viewer.post(change, form(clinic, _check="")).status_code == 403
    assert 'name="_check"' not in text(viewer.get(change))
    assert proxy.calls == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": "s3", "url": "", "bucket": "exports", "key": "a.csv", "region": "eu-central-1"},
        {"kind": "lambda", "url": "", "function": "orders-export", "region": "eu-central-1"},
    ],
)
def test_where_aws_does_not_answer_a_check_is_skipped(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    engine.account.cache_clear()
    other = {"auth": "sigv4", "secret": ""} if fields else {}
    add = reverse("admin:streams_endpoint_add_all")

    told = text(person(Role.ADMINISTRATOR).post(add, form(clinic, **fields, **other, _check="")))

    assert "checks skipped</summary>" in told
    assert "AWS did not answer" in told
    assert 'value="fresh"' in told
