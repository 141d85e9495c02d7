"""The doctor over the API: the same that the command tells, for whom it is."""

import json
from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from pytest_django.fixtures import Settings

from streams.access.roles import Role
from streams.models import Checkup, Endpoint, User
from streams.models.doctor import Why
from tests.api.client import Api, staff
from tests.doctor.conftest import doctor
from tests.doctor.origins import Origin

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def origin(settings: Settings) -> Iterator[Origin]:
    settings.PRIVATE_ORIGINS = [ip_network("127.0.0.0/8")]
    made = Origin()
    yield made
    made.close()


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="https://example.com/orders"
    )


def test_it_tells_what_the_command_tells(endpoint: Endpoint, origin: Origin) -> None:
    Endpoint.objects.update(url=origin.url)
    origin.status = 404
    _, text, _ = doctor("orders", "--json")
    told, api = json.loads(text), Api(staff(Role.VIEWER))

    status, report = api.get("endpoints/orders/doctor")

    assert status == 200
    # The command has looked at the portal too.
    assert report["ok"] is told["ok"] is False
    assert 0 < report["passed"] < told["passed"]
    for name in ("findings", "new", "gone"):
        assert [one["id"] for one in report[name]] == [one["id"] for one in told[name]]
    assert "does-not-open" in [one["id"] for one in report["findings"]]
    for ours, theirs in zip(report["findings"], told["findings"], strict=True):
        assert {name: ours[name] for name in theirs if name != "repair"} == {
            name: held for name, held in theirs.items() if name != "repair"
        }
    assert (report["why"], report["health"]) == (Why.COMMAND, "failing")
    status, listed = api.get("doctor/endpoints")
    assert status == 200
    assert listed["count"] == 1
    assert listed["items"][0]["health"] == "failing"


def test_a_run_is_asked_for(endpoint: Endpoint) -> None:
    api = Api(staff(Role.OPERATOR))

    for path in ("endpoints/orders/doctor", "doctor"):
        status, told = api.post(path)
        assert status == 202
        assert told["asked_at"]

    asked = Checkup.objects.filter(why=Why.DEMAND, asked_by="operator")
    assert {row.endpoint for row in asked} == {endpoint, None}


@pytest.mark.parametrize("path", ["doctor", "endpoints/orders/doctor"])
def test_before_the_first_run_there_is_nothing(endpoint: Endpoint, path: str) -> None:
    status, problem = Api(staff(Role.VIEWER)).get(path)

    assert (status, problem["title"]) == (404, "Not Found")


def test_it_is_for_operators_and_for_what_they_operate(endpoint: Endpoint) -> None:
    Checkup.objects.create(endpoint=endpoint)
    assert Api(None).get("doctor")[0] == 401
    assert Api(User.objects.create_user("ann")).get("doctor/endpoints")[0] == 403
    viewer = staff(Role.VIEWER)
    assert Api(viewer).post("doctor")[0] == 403
    assert Api(viewer).post("endpoints/orders/doctor")[0] == 403

    endpoint.operators = Group.objects.create(name="finance")
    endpoint.save(update_fields=["operators"])

    operator = Api(staff(Role.OPERATOR))
    assert operator.get("endpoints/orders/doctor")[0] == 404
    assert operator.post("endpoints/orders/doctor")[0] == 404
    assert operator.get("doctor/endpoints") == (200, {"items": [], "count": 0})
    assert not Checkup.objects.filter(why=Why.DEMAND).exists()


def test_a_session_opens_nothing(endpoint: Endpoint) -> None:
    client = Client()
    client.force_login(staff(Role.ADMINISTRATOR))

    answer = client.post("/api/v1/doctor")

    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("query", ["limit=0", "limit=canary", "offset=-1", f"offset={10**20}"])
def test_what_is_not_valid_is_told_and_not_repeated(endpoint: Endpoint, query: str) -> None:
    status, problem = Api(staff(Role.VIEWER)).get(f"doctor/endpoints?{query}")

    assert status == 422
    assert problem["errors"]
    assert "canary" not in json.dumps(problem)
