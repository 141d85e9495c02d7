"""A secret that consumers read in Secrets Manager already comes with its value."""

import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import sandbox
from sandbox.client import Sandbox
from streams.models import Secret, SecretVersion
from streams.registry.export import export
from streams.rotation import engine
from tests.rotation.between import Between, between

# As when AWS is asked: no transaction is open.
pytestmark = pytest.mark.django_db(transaction=True)

VALUE = "canary-" + "v" * 32
SIBLING = "  - {name: sibling}\n"


@pytest.fixture(scope="module")
def aws() -> Iterator[Sandbox]:
    with sandbox.running() as running:
        yield running


@pytest.fixture
def line(aws: Sandbox) -> Iterator[Between]:
    with between(aws.url) as made:
        yield made


@pytest.fixture(autouse=True)
def _environment(aws: Sandbox, line: Between, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", line.url)
    engine.account.cache_clear()
    yield
    engine.account.cache_clear()


@pytest.fixture
def name() -> str:
    return f"prod/{uuid.uuid4().hex}"


@pytest.fixture
def client(aws: Sandbox) -> Any:
    return aws.client("secretsmanager")


def entry(name: str, **more: str) -> str:
    rest = "".join(f", {key}: {value}" for key, value in more.items())
    return f"  - {{name: orders, store: secrets-manager, secrets_manager: {{id: {name}}}{rest}}}\n"


def applied(folder: Path, *entries: str, dry_run: bool = False) -> None:
    file = folder / "registry.yaml"
    file.write_text("version: 1\nsecrets:\n" + "".join(entries))
    call_command("apply", str(file), dry_run=dry_run)


def current(client: Any, name: str) -> str:
    return str(client.get_secret_value(SecretId=name)["SecretString"])


def test_its_value_is_taken_over_under_the_id_that_it_has(
    client: Any, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = client.create_secret(Name=name, SecretString=VALUE)["VersionId"]

    applied(tmp_path, entry(name))

    ours = Secret.objects.get().versions.get()
    assert (ours.value, ours.external_id, ours.state) == (VALUE, version, "current")
    told = capsys.readouterr()
    assert told.out == "created secret orders\n"
    assert told.err == ""
    assert VALUE not in export()

    client.put_secret_value(SecretId=name, SecretString="later-" + "l" * 32)
    applied(tmp_path, entry(name))

    assert SecretVersion.objects.get().value == VALUE
    told = capsys.readouterr()
    assert told.out == "unchanged secret orders\n"
    assert "none of this secret's" in told.err


def test_where_there_is_none_one_is_made_and_put_there(
    client: Any, name: str, tmp_path: Path
) -> None:
    applied(tmp_path, entry(name))

    made = SecretVersion.objects.get()
    assert len(made.value) == 43
    answer = client.get_secret_value(SecretId=name)
    assert (answer["SecretString"], answer["VersionId"]) == (made.value, made.external_id)


def test_without_an_id_it_is_named_after_the_secret(client: Any, tmp_path: Path) -> None:
    unique = secrets.token_hex(6)

    applied(tmp_path, f"  - {{name: {unique}, store: secrets-manager}}\n")

    assert current(client, f"spillway/{unique}") == SecretVersion.objects.get().value


def test_a_value_that_is_given_is_put_there(
    client: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS", VALUE)

    applied(tmp_path, entry(name, value_from_env="ORDERS"))

    assert current(client, name) == VALUE


def test_a_dry_run_reads_and_changes_nothing(
    client: Any, name: str, tmp_path: Path, line: Between, capsys: pytest.CaptureFixture[str]
) -> None:
    applied(tmp_path, entry(name), dry_run=True)

    assert capsys.readouterr().out == "created secret orders\n"
    assert not Secret.objects.exists()
    assert set(line.calls) == {"DescribeSecret"}

    line.denied = {"DescribeSecret"}
    with pytest.raises(CommandError, match=r"secrets\[0\]\.store: .* cannot be read"):
        applied(tmp_path, entry(name), dry_run=True)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("short", "A secret has 16 to 512 visible ASCII characters"),
        ('{"header": "as a consumer would have it"}', "A secret has 16 to 512"),
    ],
)
def test_a_value_that_cannot_be_sent_is_refused_and_not_repeated(
    client: Any, name: str, tmp_path: Path, value: str, told: str
) -> None:
    client.create_secret(Name=name, SecretString=value)

    with pytest.raises(CommandError) as caught:
        applied(tmp_path, SIBLING, entry(name))

    assert f"secrets[1].store: {told}" in str(caught.value)
    assert value not in str(caught.value)
    assert not Secret.objects.exists()


def test_a_value_that_is_no_text_is_refused(client: Any, name: str, tmp_path: Path) -> None:
    client.create_secret(Name=name, SecretBinary=VALUE.encode())

    with pytest.raises(CommandError, match=r"secrets\[0\]\.store: expected text"):
        applied(tmp_path, entry(name))


def test_one_that_is_to_be_deleted_is_refused(client: Any, name: str, tmp_path: Path) -> None:
    client.create_secret(Name=name, SecretString=VALUE)
    client.delete_secret(SecretId=name)

    with pytest.raises(CommandError, match=r"secrets\[0\]\.store: .*scheduled for deletion"):
        applied(tmp_path, entry(name))


@pytest.mark.parametrize("operation", ["DescribeSecret", "GetSecretValue"])
def test_what_may_not_be_read_is_named_and_nothing_has_changed(
    client: Any, name: str, tmp_path: Path, line: Between, operation: str
) -> None:
    client.create_secret(Name=name, SecretString=VALUE)
    line.denied = {operation}

    with pytest.raises(CommandError) as caught:
        applied(tmp_path, SIBLING, entry(name), "  - {name: other, value_from_env: NOT_SET}\n")

    # All problems at once, as ever.
    assert (
        f"secrets[1].store: {name} cannot be read. AWS does not allow it "
        f"({operation}, AccessDeniedException)."
    ) in str(caught.value)
    assert "secrets[2].value_from_env: NOT_SET is not set" in str(caught.value)
    assert not Secret.objects.exists()


def test_where_aws_cannot_be_reached_nothing_has_changed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9")

    with pytest.raises(CommandError, match=r"secrets\[0\]\.store: .*AWS did not answer"):
        applied(tmp_path, entry(name))

    assert not Secret.objects.exists()


def test_what_cannot_be_put_there_is_told_and_the_next_time_it_is(
    client: Any, name: str, tmp_path: Path, line: Between, capsys: pytest.CaptureFixture[str]
) -> None:
    line.denied = {"CreateSecret"}
    applied(tmp_path, entry(name))

    made = SecretVersion.objects.get()
    told = capsys.readouterr()
    assert told.out == "created secret orders\n"
    assert "is not in Secrets Manager as here: AWS does not allow it (CreateSecret" in told.err
    assert made.value not in told.err

    line.denied = set()
    applied(tmp_path, entry(name))

    assert capsys.readouterr() == ("unchanged secret orders\n", "")
    assert current(client, name) == made.value
