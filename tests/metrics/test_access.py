"""Who may read `/metrics`."""

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db
TOKEN = "t" * 40


def status(**headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client().get("/metrics", headers={"host": "127.0.0.1:8000"} | named).status_code


def test_without_a_token_this_machine_may() -> None:
    answer = Client().get("/metrics", headers={"host": "localhost:8000"})

    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    assert answer["Cache-Control"] == "no-store"


def test_prometheus_gets_the_format_that_it_asks_for() -> None:
    accept = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    answer = Client().get("/metrics", headers={"host": "localhost", "accept": accept})

    assert answer["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.content.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "headers",
    [
        {"x_forwarded_for": "127.0.0.1"},
        {"x_forwarded_proto": "https"},
        {"forwarded": "for=127.0.0.1"},
        {"via": "1.1 proxy"},
        {"host": "exports.example.com"},
        {"host": "10.1.2.3"},
        {"host": "127.0.0.1.example.com"},
        {"host": ""},
        {"authorization": f"Bearer {TOKEN}"} | {"host": "exports.example.com"},
    ],
    ids=str,
)
def test_without_a_token_nobody_else_may_and_no_proxy_for_them(headers: dict[str, str]) -> None:
    assert status(**headers) == 404


def test_without_a_token_no_other_machine_may() -> None:
    asked = Client(REMOTE_ADDR="192.0.2.1").get("/metrics", headers={"host": "127.0.0.1"})

    assert asked.status_code == 404
    assert asked.json()["error"]["code"] == "not_found"


def test_behind_a_proxy_a_token_is_needed(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT, settings.SECURE_REDIRECT_EXEMPT = True, ["^metrics$"]

    assert status() == 404


def test_whoever_bears_the_token_may_by_any_name(settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN

    assert status(authorization=f"Bearer {TOKEN}", host="10.1.2.3:8000") == 200


@pytest.mark.parametrize(
    "given", ["", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer t\xe9"]
)
def test_with_a_token_nobody_may_without_it(settings: Settings, given: str) -> None:
    settings.METRICS_TOKEN = TOKEN

    answer = Client().get("/metrics", headers={"host": "127.0.0.1", "authorization": given})

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="spillway metrics"'
    assert answer.json()["error"]["code"] == "unauthorized"
