"""Rotations of the real engine against the stand-in for AWS, with a function that runs."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import transaction
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

import sandbox
from sandbox.client import Sandbox
from streams.access.addresses import address_policy
from streams.models import (
    Channel,
    DriftCheck,
    Gateway,
    Notice,
    Rotation,
    RotationState,
    Secret,
    SecretFunction,
)
from streams.rotation import drift, engine, starting
from streams.rotation.probing import Verdict, asker

ROOT = Path(__file__).resolve().parents[2]
HANDLER = ROOT / "functions" / "python"
HEADER = "x-secret-header"
NAME = "orders-export"
OTHERS = {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "orders.csv", "LOG_LEVEL": "info"}


@pytest.fixture(scope="module")
def aws() -> Iterator[Sandbox]:
    settings = sandbox.Settings(propagation_seconds=1, strict_mappings=True, strict_updates=True)
    with sandbox.running(settings) as running:
        running.put_object("exports", "orders.csv", b"a,b\n1,2\n" * 1000)
        yield running


@pytest.fixture(autouse=True)
def _settings(settings: Settings, aws: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 1.5
    settings.PRIVATE_ORIGINS = [ip_network("127.0.0.0/8")]
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    engine.account.cache_clear()
    yield
    engine.account.cache_clear()


@dataclass
class Deployed:
    """A function behind a function URL, and what stands before it."""

    aws: Sandbox
    secret: Secret
    url: str
    old: str

    def rest(self, name: str, *, stage: str = "prod") -> Gateway:
        made = self.aws.rest_api(name, self.url, HEADER, self.old, stage=stage)
        return self.secret.gateways.create(
            type="rest", region=self.aws.region, api_id=made.api_id, method="GET",
            resource_id=made.resource_id, stage=made.stage, url=made.url,
        )  # fmt: skip

    def http(self, name: str, *, auto_deploy: bool = True) -> Gateway:
        made = self.aws.http_api(name, self.url, HEADER, self.old, auto_deploy=auto_deploy)
        return self.secret.gateways.create(
            type="http", region=self.aws.region, api_id=made.api_id,
            integration_id=made.integration_id, stage=made.stage, url=made.url,
        )  # fmt: skip

    def variables(self) -> dict[str, str]:
        functions = self.aws.client("lambda")
        answer = functions.get_function_configuration(FunctionName=self.secret.function.name)
        found: dict[str, str] = answer["Environment"]["Variables"]
        return found

    def verdict(self, value: str) -> Verdict:
        return asker(address_policy())(self.url, {HEADER: value})

    def through(self, gateway: Gateway) -> Verdict:
        return asker(address_policy())(gateway.url, {})


@pytest.fixture
def deployed(aws: Sandbox, transactional_db: None) -> Deployed:
    old, name = secrets.token_urlsafe(32), f"{NAME}-{secrets.token_hex(3)}"
    environment = {**OTHERS, "SECRET_HEADER": old}
    url = aws.deploy_function(name, HANDLER, "app.handler", environment)
    secret = Secret.objects.create(name="orders")
    with transaction.atomic():
        secret.set_value(old)
    SecretFunction.objects.create(secret=secret, name=name, region=aws.region)
    return Deployed(aws, secret, url, old)


def rotated(secret: Secret) -> Rotation:
    rotation = starting.start(secret, by="ada")
    call_command("rotate", "orders", "--resume", "--wait")
    rotation.refresh_from_db()
    return rotation


def test_a_function_behind_two_gateways_is_rotated(deployed: Deployed) -> None:
    Channel.objects.create(name="ops", kind="mail", address="ops@example.com")
    gateways = [
        deployed.rest("rest"),
        deployed.http("http"),
        deployed.http("by-hand", auto_deploy=False),
    ]

    rotation = rotated(deployed.secret)

    assert rotation.state == RotationState.COMPLETED, rotation.problem
    new = deployed.secret.versions.get(state="current").value
    assert deployed.variables() == {**OTHERS, "SECRET_HEADER": new}
    assert deployed.verdict(deployed.old) == Verdict.REFUSED
    assert deployed.verdict(new) == Verdict.ACCEPTED
    for gateway in gateways:
        assert deployed.through(gateway) == Verdict.ACCEPTED
    assert told() == ["rotation-completed"]
    assert deployed.old not in str(list(Notice.objects.values()))
    assert new not in str(list(Notice.objects.values()))


def told() -> list[str]:
    return list(Notice.objects.order_by("created_at").values_list("event", flat=True))


def test_one_that_is_rolled_back_half_way_is_told_once(deployed: Deployed) -> None:
    Channel.objects.create(name="ops", kind="mail", address="ops@example.com")
    rotation = starting.start(deployed.secret, by="ada")
    while rotation.step in {"preflight", "generate"}:
        engine.advance(rotation.pk)
        rotation.refresh_from_db()

    # A trouble at this step would be another one than that of the step before.
    assert rotation.stretch_at == rotation.step_at > rotation.started_at
    call_command("rotate", "orders", "--rollback", "--wait")

    rotation.refresh_from_db()
    assert rotation.state == RotationState.ROLLED_BACK, rotation.problem
    assert deployed.variables() == {**OTHERS, "SECRET_HEADER": deployed.old}
    assert told() == ["rotation-rolled-back"]


def test_what_was_changed_by_hand_is_found_once_and_put_back(deployed: Deployed) -> None:
    Channel.objects.create(name="ops", kind="mail", address="ops@example.com")
    rest, http = deployed.rest("rest"), deployed.http("http", auto_deploy=False)
    [pk] = drift.due()
    drift.check(pk)
    check = DriftCheck.objects.get(pk=pk)
    assert (check.found, check.problem, check.found_at) == ("", "", None)
    assert check.looked_at is not None
    assert drift.due() == []

    # As a template that still has an old value leaves it.
    deployed.aws.client("lambda").update_function_configuration(
        FunctionName=deployed.secret.function.name,
        Environment={"Variables": {**OTHERS, "SECRET_HEADER": "alien-" + "a" * 32}},
    )
    deployed.aws.client("apigatewayv2").update_integration(
        ApiId=http.api_id,
        IntegrationId=http.integration_id,
        RequestParameters={f"overwrite:header.{HEADER}": "alien-" + "a" * 32},
    )
    DriftCheck.objects.update(due_at=Now())
    drift.check(pk)

    check.refresh_from_db()
    assert len(check.found.splitlines()) == 2
    assert "alien" not in check.found
    assert check.found_at is not None
    DriftCheck.objects.update(due_at=Now())
    drift.check(pk)
    assert told() == ["drift-found"]

    call_command("rotate", "orders", "--repair", "--wait")

    assert deployed.variables() == {**OTHERS, "SECRET_HEADER": deployed.old}
    assert deployed.through(rest) == deployed.through(http) == Verdict.ACCEPTED
    DriftCheck.objects.update(due_at=Now())
    drift.check(pk)
    check.refresh_from_db()
    assert check.found == ""
    assert told() == ["drift-found", "rotation-completed", "drift-over"]
    [version] = deployed.secret.versions.all()
    assert (version.value, version.state) == (deployed.old, "current")
