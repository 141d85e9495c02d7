"""Secrets at rest, and the rules of their versions."""

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from pytest_django.fixtures import Settings

from streams.models import Secret, SecretVersion
from streams.models.fields import UndecryptableError
from streams.models.secrets import validate_header_name

pytestmark = pytest.mark.django_db

VALUE = "canary-" + "x" * 32


def stored() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM streams_secretversion")
        return str(cursor.fetchone()[0])


def test_the_database_holds_no_value_in_clear() -> None:
    version = Secret.objects.create(name="orders").set_value(VALUE)

    assert "canary" not in stored()
    version.refresh_from_db()
    assert version.value == VALUE


def test_a_wrong_key_raises_and_never_hands_out_the_ciphertext(settings: Settings) -> None:
    Secret.objects.create(name="orders").set_value(VALUE)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

    with pytest.raises(UndecryptableError, match="SPILLWAY_ENCRYPTION_KEYS"):
        SecretVersion.objects.get()


def test_an_older_key_still_reads(settings: Settings) -> None:
    Secret.objects.create(name="orders").set_value(VALUE)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.ENCRYPTION_KEYS]

    assert SecretVersion.objects.get().value == VALUE


def test_a_new_value_keeps_the_one_before_it_live() -> None:
    secret = Secret.objects.create(name="orders")
    for number in range(3):
        secret.set_value(f"{VALUE}{number}")

    live = [(version.number, version.state) for version in secret.versions.live()]

    assert live == [(3, "current"), (2, "previous")]
    assert secret.versions.get(number=1).state == "retired"


def test_the_database_refuses_two_current_versions() -> None:
    secret = Secret.objects.create(name="orders")
    secret.set_value(VALUE)

    with pytest.raises(IntegrityError):
        secret.versions.create(number=2, value=VALUE, fingerprint="f", state="current")


@pytest.mark.parametrize(
    "value", ["short", "with space in it 123456", "quote'quote'quote", "é" * 20]
)
def test_a_value_that_could_not_stand_everywhere_is_refused(value: str) -> None:
    with pytest.raises(ValidationError):
        Secret.objects.create(name="orders").set_value(value)


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "content-type", "X-Amz-Date", "x-amzn-trace-id", "Host", "Forwarded",
        "Keep-Alive", "Access-Control-Allow-Origin", "apigw-secret", "a b", "",
    ],
)  # fmt: skip
def test_a_header_that_a_gateway_cannot_map_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        validate_header_name(name)


def test_nothing_that_shows_a_version_shows_its_value() -> None:
    version = Secret.objects.create(name="orders").set_value(VALUE)

    assert "canary" not in repr(version) + str(version)
    assert len(version.fingerprint) == 12
