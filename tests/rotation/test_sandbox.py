"""Rotations of the real engine against the stand-in for AWS, with a function that runs."""

import re
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import StringIO
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

import sandbox
from sandbox.client import Sandbox
from streams.access.addresses import address_policy
from streams.models import (
    Accepts,
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
from tests.functional.conftest import until
from tests.rotation.proxy import Proxy

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


@pytest.mark.slow
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


@pytest.mark.slow
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


# Every other way to rotate, and what stands in its way.


def turned_to(rotation: Rotation, *steps: str) -> Rotation:
    """The rotation after as many turns as it takes to reach one of the steps."""

    def reached() -> bool:
        rotation.refresh_from_db()
        if rotation.step in steps or rotation.state != RotationState.RUNNING:
            return True
        engine.advance(rotation.pk)
        return False

    assert until(reached, 60), rotation.step
    assert rotation.step in steps, rotation.problem
    return rotation


def driven(rotation: Rotation) -> Rotation:
    """The rotation when it is over, or needs help."""

    def rests() -> bool:
        engine.advance(rotation.pk)
        rotation.refresh_from_db()
        return rotation.state != RotationState.RUNNING

    assert until(rests, 60), (rotation.step, rotation.waiting)
    return rotation


def story(rotation: Rotation) -> str:
    return "\n".join(rotation.events.order_by("pk").values_list("text", flat=True))


def new_value(secret: Secret) -> str:
    value: str = secret.versions.get(state="current").value
    return value


def dry_run(*words: str) -> str:
    printed = StringIO()
    call_command("rotate", "orders", "--dry-run", *words, stdout=printed)
    return printed.getvalue()


def takes_one(secret: Secret) -> None:
    secret.function.accepts = Accepts.ONE
    secret.function.save()


def asked_on_and_on(url: str, over: threading.Event) -> list[tuple[float, int]]:
    """Instants and statuses of requests, until it is over."""
    seen = []
    while not over.is_set():
        try:
            with urllib.request.urlopen(url, timeout=20) as response:
                seen.append((time.time(), response.status))
        except urllib.error.HTTPError as exc:
            seen.append((time.time(), exc.code))
    return seen


@pytest.mark.slow
def test_a_gap_is_told_beforehand_accepted_by_name_and_measured(deployed: Deployed) -> None:
    gateway = deployed.rest("gapped")
    takes_one(deployed.secret)
    with pytest.raises(CommandError, match="--accept-gap"):
        call_command("rotate", "orders")
    assert "requests through the gateway are refused" in dry_run()
    assert not Rotation.objects.exists()
    over = threading.Event()

    with ThreadPoolExecutor(1) as pool:
        clients = pool.submit(asked_on_and_on, gateway.url, over)
        try:
            rotation = driven(starting.start(deployed.secret, by="ada", accept_gap=True))
        finally:
            over.set()

    assert rotation.state == RotationState.COMPLETED, rotation.problem
    assert deployed.variables() == {**OTHERS, "SECRET_HEADER": new_value(deployed.secret)}
    refused = [at for at, status in clients.result() if status == 403]
    told = re.search(r"through 1 of 1 gateways.*, (\d+) s\.", story(rotation))
    assert told, story(rotation)
    assert refused[0] - 1 <= rotation.notes["refused"][0]
    assert rotation.notes["refused"][1] <= refused[-1] + 1
    assert int(told[1]) <= refused[-1] - refused[0] + 2


@pytest.mark.slow
def test_stage_variables_are_rotated_with_no_deployment(deployed: Deployed) -> None:
    gateways = [deployed.rest("variable"), deployed.http("variable", auto_deploy=False)]
    variable_of_rest(deployed, gateways[0])
    variable_of_http(deployed, gateways[1])
    before = deployment_of(deployed.aws, gateways[0])
    assert dry_run().count("AWS advises against credentials in stage variables") == 2

    rotation = driven(starting.start(deployed.secret, by="ada"))

    assert rotation.state == RotationState.COMPLETED, rotation.problem
    assert story(rotation).count("AWS advises against credentials in stage variables") == 2
    # The sandbox has no export of an HTTP API: that one is deployed, to be sure.
    assert deployment_of(deployed.aws, gateways[0]) == before
    for gateway in gateways:
        assert deployed.through(gateway) == Verdict.ACCEPTED
    assert deployed.verdict(deployed.old) == Verdict.REFUSED


def variable_of_rest(deployed: Deployed, gateway: Gateway) -> None:
    deployed_literally(deployed, gateway)
    deployed.aws.client("apigateway").create_deployment(restApiId=gateway.api_id, stageName="prod")


def variable_of_http(deployed: Deployed, gateway: Gateway) -> None:
    apis = deployed.aws.client("apigatewayv2")
    where = {"ApiId": gateway.api_id}
    apis.update_integration(
        **where, IntegrationId=gateway.integration_id,
        RequestParameters={f"overwrite:header.{HEADER}": "$stageVariables.secret"},
    )  # fmt: skip
    apis.update_stage(**where, StageName="$default", StageVariables={"secret": deployed.old})
    apis.create_deployment(**where, StageName="$default")


def deployment_of(aws: Sandbox, gateway: Gateway) -> str:
    answer = aws.client("apigateway").get_stage(restApiId=gateway.api_id, stageName="prod")
    return str(answer["deploymentId"])


def deployed_literally(deployed: Deployed, gateway: Gateway) -> None:
    """The mapping names a variable, and the stage still serves the one with the value itself."""
    apis = deployed.aws.client("apigateway")
    name = f"/requestParameters/integration.request.header.{HEADER}"
    apis.update_integration(
        restApiId=gateway.api_id, resourceId=gateway.resource_id, httpMethod="GET",
        patchOperations=[{"op": "replace", "path": name, "value": "stageVariables.secret"}],
    )  # fmt: skip
    variable = {"op": "replace", "path": "/variables/secret", "value": deployed.old}
    apis.update_stage(restApiId=gateway.api_id, stageName="prod", patchOperations=[variable])


@pytest.mark.slow
def test_a_stage_that_does_not_serve_its_variable_yet_is_deployed(deployed: Deployed) -> None:
    gateway = deployed.rest("not-served")
    deployed_literally(deployed, gateway)
    before = deployment_of(deployed.aws, gateway)

    rotation = driven(starting.start(deployed.secret, by="ada"))

    assert rotation.state == RotationState.COMPLETED, rotation.problem
    assert deployment_of(deployed.aws, gateway) != before
    assert deployed.through(gateway) == Verdict.ACCEPTED
    assert deployed.verdict(deployed.old) == Verdict.REFUSED


@pytest.mark.slow
def test_an_emergency_waits_for_nothing(deployed: Deployed, settings: Settings) -> None:
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 600
    gateway = deployed.rest("emergency")

    rotation = driven(starting.start(deployed.secret, by="ada", emergency=True))

    assert rotation.state == RotationState.COMPLETED, rotation.problem
    assert deployed.verdict(deployed.old) == Verdict.REFUSED
    assert deployed.through(gateway) == Verdict.ACCEPTED


@pytest.mark.slow
@pytest.mark.parametrize("step", ["admit", "drain"])
def test_a_command_takes_a_rotation_back_midway(deployed: Deployed, step: str) -> None:
    gateway = deployed.rest(f"back-{step}")
    rotation = turned_to(starting.start(deployed.secret, by="ada"), step)

    call_command("rotate", "orders", "--rollback", "--wait")

    rotation.refresh_from_db()
    assert rotation.state == RotationState.ROLLED_BACK
    assert deployed.variables() == {**OTHERS, "SECRET_HEADER": deployed.old}
    assert new_value(deployed.secret) == deployed.old
    assert deployed.through(gateway) == Verdict.ACCEPTED
    assert deployed.verdict(str(rotation.new and rotation.new.value)) == Verdict.REFUSED


@pytest.mark.slow
def test_a_mapping_that_somebody_changes_midway_is_named_and_left_alone(deployed: Deployed) -> None:
    gateway = deployed.http("drifts", auto_deploy=False)
    integration = {"ApiId": gateway.api_id, "IntegrationId": gateway.integration_id}
    apis = deployed.aws.client("apigatewayv2")
    rotation = turned_to(starting.start(deployed.secret, by="ada"), "drain")
    theirs = {f"overwrite:header.{HEADER}": "somebody-else-" + "s" * 20}
    apis.update_integration(**integration, RequestParameters=theirs)

    driven(rotation)

    assert rotation.state == RotationState.STUCK
    assert f"{gateway} sends a value that is none of this secret's" in rotation.problem
    assert apis.get_integration(**integration)["RequestParameters"] == theirs
    # Both are accepted until somebody has decided.
    for value in (deployed.old, new_value(deployed.secret)):
        assert deployed.verdict(value) == Verdict.ACCEPTED

    ours = {f"overwrite:header.{HEADER}": deployed.old}
    apis.update_integration(**integration, RequestParameters=ours)
    call_command("rotate", "orders", "--resume", "--wait")
    rotation.refresh_from_db()
    assert rotation.state == RotationState.COMPLETED
    assert deployed.through(gateway) == Verdict.ACCEPTED


@pytest.mark.slow
def test_a_variable_that_somebody_changes_midway_is_named_and_left_alone(
    deployed: Deployed,
) -> None:
    rotation = turned_to(starting.start(deployed.secret, by="ada"), "drain")
    theirs = {**OTHERS, "SECRET_HEADER": "somebody-else-" + "s" * 20}
    functions = deployed.aws.client("lambda")
    functions.update_function_configuration(
        FunctionName=deployed.secret.function.name, Environment={"Variables": theirs}
    )

    driven(rotation)

    assert rotation.state == RotationState.STUCK
    assert "SECRET_HEADER in version $LATEST" in rotation.problem
    assert deployed.variables() == theirs


def test_a_canary_is_refused_and_nothing_is_changed(deployed: Deployed) -> None:
    gateway = deployed.rest("canary")
    canary = {"op": "replace", "path": "/canarySettings/percentTraffic", "value": "10"}
    deployed.aws.client("apigateway").update_stage(
        restApiId=gateway.api_id, stageName="prod", patchOperations=[canary]
    )

    rotation = driven(starting.start(deployed.secret, by="ada"))

    assert rotation.state == RotationState.FAILED
    assert f"{gateway} has a canary" in rotation.problem
    assert deployed.variables() == {**OTHERS, "SECRET_HEADER": deployed.old}


@pytest.mark.slow
def test_each_connection_has_its_region_and_its_role(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.aws.client("iam").create_role(RoleName="rotates", AssumeRolePolicyDocument="{}")
    role = "arn:aws:iam::000000000000:role/rotates"
    abroad = replace(deployed, aws=replace(deployed.aws, region="ap-south-1"))
    here, there = deployed.rest("here"), abroad.http("there", auto_deploy=False)
    deployed.secret.gateways.filter(pk=there.pk).update(role_arn=role)
    SecretFunction.objects.filter(secret=deployed.secret).update(role_arn=role)
    proxy = Proxy(deployed.aws.url, lambda: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)

    rotation = driven(starting.start(deployed.secret, by="ada"))
    proxy.close()

    assert rotation.state == RotationState.COMPLETED, rotation.problem
    for gateway in (here, there):
        assert deployed.through(gateway) == Verdict.ACCEPTED
    own = deployed.aws.environment()["AWS_ACCESS_KEY_ID"]
    signers = {(call.service, call.key == own) for call in proxy.changes()}
    # Those without a service of their own ask STS.
    assert signers == {
        ("other", True), ("lambda", False), ("apigateway", True), ("apigatewayv2", False)
    }  # fmt: skip


@pytest.mark.slow
def test_one_whose_function_is_deleted_midway_is_given_up(deployed: Deployed) -> None:
    gateway = deployed.http("http")
    rotation = turned_to(starting.start(deployed.secret, by="ada"), "retire")
    starting.give_up(rotation)
    engine.advance(rotation.pk)
    assert f"It cannot be given up: AWS still has the function {deployed.secret.function}." in [
        event.text for event in rotation.events.all()
    ]

    deployed.aws.client("lambda").delete_function(FunctionName=deployed.secret.function.name)
    with pytest.raises(CommandError, match="no URL"):
        call_command("rotate", "orders", "--rollback", "--wait")
    call_command("rotate", "orders", "--give-up", "--wait")

    rotation.refresh_from_db()
    assert rotation.was_given_up
    current = deployed.secret.versions.get(state="current")
    assert current == rotation.new
    assert deployed.secret.versions.exclude(pk=current.pk).get().state == "retired"
    # As AWS has the gateway: it sends what the portal sends.
    apis = deployed.aws.client("apigatewayv2")
    sent = apis.get_integration(ApiId=gateway.api_id, IntegrationId=gateway.integration_id)
    assert current.value in sent["RequestParameters"].values()


@pytest.mark.slow
def test_a_gateway_that_is_deleted_once_there_is_no_way_back(deployed: Deployed) -> None:
    deployed.http("http")
    gone = deployed.rest("rest")
    rotation = turned_to(starting.start(deployed.secret, by="ada"), "retire")

    deployed.aws.client("apigateway").delete_rest_api(restApiId=gone.api_id)
    assert deployed.through(gone) == Verdict.REFUSED
    call_command("rotate", "orders", "--resume", "--wait")

    rotation.refresh_from_db()
    assert rotation.state == RotationState.COMPLETED
    told = [event.text for event in rotation.events.all()]
    assert f"{gone} is there no more: nothing is sent through it." in told
    assert any("passes through 1 of 2 gateways" in text for text in told)
