"""The real engine and Secrets Manager, with a function that runs and a consumer of its own."""

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

import sandbox
from sandbox.client import Sandbox
from streams.access.addresses import address_policy
from streams.models import Rotation, RotationEvent, RotationState, Secret, SecretFunction
from streams.rotation import elsewhere, engine, preview, starting
from streams.rotation.lease import claim
from streams.rotation.probing import Verdict, asker
from streams.rotation.starting import NotNowError
from tests.rotation.between import Between, between
from tests.rotation.test_sandbox import HANDLER, HEADER, OTHERS

# Seconds for which a consumer keeps what it has read.
CACHE = 2.0


@pytest.fixture(scope="module")
def aws() -> Iterator[Sandbox]:
    settings = sandbox.Settings(propagation_seconds=1, strict_updates=True)
    with sandbox.running(settings) as running:
        running.put_object("exports", "orders.csv", b"a,b\n1,2\n" * 1000)
        yield running


@pytest.fixture
def line(aws: Sandbox) -> Iterator[Between]:
    with between(aws.url) as made:
        yield made


@pytest.fixture(autouse=True)
def _settings(
    settings: Settings, aws: Sandbox, line: Between, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 1.5
    settings.ROTATION_CONSUMERS = CACHE + 0.5
    settings.PRIVATE_ORIGINS = [ip_network("127.0.0.0/8")]
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", line.url)
    engine.account.cache_clear()
    yield
    engine.account.cache_clear()


@dataclass
class Deployed:
    """A function, its secret here, and what AWS has of it under `name`."""

    aws: Sandbox
    secret: Secret
    url: str
    old: str
    name: str

    @property
    def client(self) -> Any:
        return self.aws.client("secretsmanager")

    def put(self, value: str) -> str:
        """Makes it, or gives it the next value, as somebody else would."""
        if self.labels():
            answer = self.client.put_secret_value(SecretId=self.name, SecretString=value)
        else:
            answer = self.client.create_secret(Name=self.name, SecretString=value)
        return str(answer["VersionId"])

    def labels(self) -> dict[str, str]:
        try:
            answer = self.client.describe_secret(SecretId=self.name)
        except self.client.exceptions.ResourceNotFoundException:
            return {}
        stages = answer["VersionIdsToStages"]
        return {label: version for version, labels in stages.items() for label in labels}

    def values(self) -> dict[str, str]:
        return {
            label: self.client.get_secret_value(SecretId=self.name, VersionId=version)[
                "SecretString"
            ]
            for label, version in self.labels().items()
        }

    def variables(self) -> dict[str, str]:
        functions = self.aws.client("lambda")
        answer = functions.get_function_configuration(FunctionName=self.secret.function.name)
        found: dict[str, str] = answer["Environment"]["Variables"]
        return found

    def current(self) -> str:
        return self.secret.versions.get(state="current").value

    def advance_to(self, rotation: Rotation, *steps: str) -> None:
        """A worker's turns, one after another, until one of these steps has come."""
        deadline = time.monotonic() + 60
        while rotation.step not in steps:
            assert time.monotonic() < deadline, (rotation.step, rotation.problem)
            engine.advance(rotation.pk)
            time.sleep(0.1)
            rotation.refresh_from_db()


@pytest.fixture
def deployed(aws: Sandbox, transactional_db: None) -> Deployed:
    old, suffix = secrets.token_urlsafe(32), secrets.token_hex(4)
    environment = {**OTHERS, "SECRET_HEADER": old}
    url = aws.deploy_function(f"orders-{suffix}", HANDLER, "app.handler", environment)
    name = f"prod/orders-{suffix}"
    secret = Secret.objects.create(
        name="orders", store="secrets-manager", secrets_manager={"id": name}
    )
    with transaction.atomic():
        secret.set_value(old)
    SecretFunction.objects.create(secret=secret, name=f"orders-{suffix}", region=aws.region)
    return Deployed(aws, secret, url, old, name)


@dataclass
class Consumer:
    """Reads the current value, keeps it for `CACHE` seconds, and calls the function with it."""

    deployed: Deployed
    asked: int = 0
    refused: list[str] = field(default_factory=list)
    values: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Consumer":
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._thread.join()

    def _run(self) -> None:
        client, ask = self.deployed.client, asker(address_policy())
        value, read_at = "", -CACHE
        while not self.over.is_set():
            if time.monotonic() - read_at >= CACHE:
                read_at = time.monotonic()
                value = client.get_secret_value(SecretId=self.deployed.name)["SecretString"]
                self.values.add(value)
            self.asked += 1
            if ask(self.deployed.url, {HEADER: value}) is not Verdict.ACCEPTED:
                self.refused.append(time.strftime("%H:%M:%S"))


def driven(rotation: Rotation) -> Rotation:
    call_command("rotate", "orders", "--resume", "--wait")
    rotation.refresh_from_db()
    return rotation


def told(rotation: Rotation) -> str:
    events = RotationEvent.objects.filter(rotation=rotation).values_list("text", flat=True)
    return "\n".join([*events, rotation.problem, rotation.waiting, str(rotation.notes)])


@pytest.mark.slow
def test_a_consumer_with_a_cache_is_refused_nothing(
    deployed: Deployed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="streams")
    first = deployed.put(deployed.old)

    with Consumer(deployed) as consumer:
        rotation = driven(starting.start(deployed.secret, by="ada"))
        time.sleep(CACHE)

    assert rotation.state == RotationState.COMPLETED, rotation.problem
    new = deployed.current()
    assert consumer.refused == []
    assert consumer.asked > 50
    assert consumer.values == {deployed.old, new}
    assert deployed.labels() == {
        "AWSCURRENT": deployed.secret.versions.get(state="current").external_id,
        "AWSPREVIOUS": first,
    }
    assert deployed.values() == {"AWSCURRENT": new, "AWSPREVIOUS": deployed.old}
    assert deployed.variables() == {**OTHERS, "SECRET_HEADER": new}
    for value in (deployed.old, new):
        assert value not in told(rotation)
        assert value not in caplog.text


@pytest.mark.slow
def test_a_secret_that_is_missing_is_made_with_the_value_that_is_current(
    deployed: Deployed,
) -> None:
    old = deployed.secret.versions.get(state="current").external_id

    rotation = driven(starting.start(deployed.secret, by="ada"))

    assert rotation.state == RotationState.COMPLETED, rotation.problem
    assert "created with the old value" in told(rotation)
    assert deployed.labels()["AWSPREVIOUS"] == old
    assert deployed.values() == {"AWSCURRENT": deployed.current(), "AWSPREVIOUS": deployed.old}


@pytest.mark.parametrize("label", ["AWSCURRENT", "AWSPENDING"])
def test_a_value_of_somebody_else_is_drift_and_is_not_overwritten(
    deployed: Deployed, label: str
) -> None:
    deployed.put(deployed.old)
    foreign = secrets.token_urlsafe(32)
    deployed.client.put_secret_value(
        SecretId=deployed.name, SecretString=foreign, VersionStages=[label]
    )
    before = deployed.labels()

    rotation = driven_to_failure(deployed)

    assert rotation.state == RotationState.FAILED
    assert f"{label} of Secrets Manager {deployed.name} is on a value that is" in rotation.problem
    assert foreign not in told(rotation)
    assert deployed.labels() == before
    assert deployed.variables() == {**OTHERS, "SECRET_HEADER": deployed.old}


def driven_to_failure(deployed: Deployed) -> Rotation:
    rotation = starting.start(deployed.secret, by="ada")
    engine.advance(rotation.pk)
    rotation.refresh_from_db()
    return rotation


def test_a_secret_that_is_to_be_deleted_is_told_and_left_alone(deployed: Deployed) -> None:
    deployed.put(deployed.old)
    deployed.client.delete_secret(SecretId=deployed.name)

    rotation = driven_to_failure(deployed)

    assert rotation.state == RotationState.FAILED
    assert "is scheduled for deletion. Restore it first." in rotation.problem


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["PutSecretValue", "UpdateSecretVersionStage"])
def test_what_is_denied_is_named_without_awss_words_and_goes_on_when_it_is_allowed(
    deployed: Deployed, line: Between, operation: str
) -> None:
    deployed.put(deployed.old)
    line.denied = {operation}
    rotation = starting.start(deployed.secret, by="ada")
    deadline = time.monotonic() + 60
    while rotation.state != RotationState.STUCK and time.monotonic() < deadline:
        engine.advance(rotation.pk)
        time.sleep(0.1)
        rotation.refresh_from_db()

    assert rotation.problem == f"AWS does not allow it ({operation}, AccessDeniedException)."
    new = rotation.new
    assert new is not None
    assert new.value not in told(rotation)
    assert deployed.values()["AWSCURRENT"] == deployed.old

    line.denied = set()
    assert driven(rotation).state == RotationState.COMPLETED, rotation.problem


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["CreateSecret", "PutSecretValue"])
def test_an_answer_that_is_lost_makes_no_second_version(
    deployed: Deployed, line: Between, operation: str
) -> None:
    if operation != "CreateSecret":
        deployed.put(deployed.old)
    line.lost = {operation}

    rotation = driven(starting.start(deployed.secret, by="ada"))

    assert rotation.state == RotationState.COMPLETED, rotation.problem
    assert line.lost == set()
    assert line.calls.count(operation) == 1
    assert deployed.values() == {"AWSCURRENT": deployed.current(), "AWSPREVIOUS": deployed.old}


@pytest.mark.slow
def test_a_label_whose_move_was_not_answered_is_not_moved_twice(
    deployed: Deployed, line: Between
) -> None:
    deployed.put(deployed.old)
    line.lost = {"UpdateSecretVersionStage"}

    rotation = driven(starting.start(deployed.secret, by="ada"))

    assert rotation.state == RotationState.COMPLETED, rotation.problem
    # The current one, and the pending one away.
    assert line.calls.count("UpdateSecretVersionStage") == 2
    assert deployed.values() == {"AWSCURRENT": deployed.current(), "AWSPREVIOUS": deployed.old}


@pytest.mark.slow
def test_a_worker_that_is_killed_after_the_put_is_followed_by_another(deployed: Deployed) -> None:
    deployed.put(deployed.old)
    rotation = starting.start(deployed.secret, by="ada")
    deployed.advance_to(rotation, "admit")
    new = rotation.new
    assert new is not None
    assert deployed.values() == {"AWSCURRENT": deployed.old, "AWSPENDING": new.value}

    # One that takes it, and is never heard of again.
    Rotation.objects.filter(pk=rotation.pk).update(due_at=Now())
    assert claim(rotation.pk, 60) is not None
    Rotation.objects.filter(pk=rotation.pk).update(lease_until=Now() - timedelta(seconds=1))

    assert driven(rotation).state == RotationState.COMPLETED, rotation.problem
    assert deployed.values() == {"AWSCURRENT": new.value, "AWSPREVIOUS": deployed.old}
    assert deployed.labels()["AWSCURRENT"] == new.external_id


@pytest.mark.slow
@pytest.mark.parametrize("step", ["admit", "switch store", "drain"])
def test_a_roll_back_leaves_the_labels_as_they_were(deployed: Deployed, step: str) -> None:
    for value in ("before-" + "b" * 32, deployed.old):
        deployed.put(value)
    before = deployed.labels()
    rotation = starting.start(deployed.secret, by="ada")

    with Consumer(deployed) as consumer:
        deployed.advance_to(rotation, step)
        call_command("rotate", "orders", "--rollback", "--wait")
        time.sleep(CACHE)

    rotation.refresh_from_db()
    assert rotation.state == RotationState.ROLLED_BACK, rotation.problem
    assert deployed.labels() == before
    assert deployed.variables() == {**OTHERS, "SECRET_HEADER": deployed.old}
    assert consumer.refused == []


def test_what_would_be_done_is_told_beforehand(deployed: Deployed) -> None:
    lines = "\n".join(preview.preview(deployed.secret))

    assert "put in store" in lines
    assert "switch store" in lines
    assert "2.5 s for what consumers keep" in lines
    assert f"Secrets Manager {deployed.name}: has no value yet, and will get the current" in lines
    assert deployed.labels() == {}
    deployed.put(deployed.old)
    lines = "\n".join(preview.preview(deployed.secret))
    assert f"Secrets Manager {deployed.name}: holds the current value." in lines


def test_consumers_of_a_function_that_accepts_one_value_are_not_forgotten(
    deployed: Deployed,
) -> None:
    SecretFunction.objects.update(accepts="one")

    with pytest.raises(NotNowError, match="others read it from Secrets Manager"):
        starting.mode_of(deployed.secret)
    assert starting.mode_of(deployed.secret, accept_gap=True) == "hold"
    assert starting.CONSUMERS in preview.preview(deployed.secret)


def differs(deployed: Deployed) -> str | None:
    return elsewhere.difference(deployed.secret, engine.account())


def put_current(deployed: Deployed) -> str | None:
    return elsewhere.put_current(deployed.secret, engine.account())


def test_what_is_missing_there_is_put_there(deployed: Deployed) -> None:
    assert differs(deployed) == f"Secrets Manager {deployed.name} does not exist."
    assert put_current(deployed) is None
    assert differs(deployed) is None
    assert deployed.values() == {"AWSCURRENT": deployed.old}


def test_a_value_that_we_had_before_gives_way_to_the_current_one(deployed: Deployed) -> None:
    deployed.put(deployed.old)
    with transaction.atomic():
        newer = deployed.secret.set_value("newer-" + "n" * 32)

    told = differs(deployed)

    assert told == f"Secrets Manager {deployed.name} has version 1 as AWSCURRENT, and not 2."
    assert put_current(deployed) is None
    assert deployed.values() == {"AWSCURRENT": newer.value, "AWSPREVIOUS": deployed.old}


def test_a_value_of_somebody_else_does_not_give_way(deployed: Deployed) -> None:
    foreign = "foreign-" + "f" * 32
    deployed.put(foreign)

    told = put_current(deployed)

    assert told is not None
    assert told == differs(deployed)
    assert told.endswith("has a value as AWSCURRENT that is none of this secret's.")
    assert deployed.values() == {"AWSCURRENT": foreign}


def test_nothing_is_put_there_under_a_rotation(deployed: Deployed) -> None:
    starting.start(deployed.secret, by="ada")

    assert put_current(deployed) is None
    assert differs(deployed) is None
    assert deployed.labels() == {}
