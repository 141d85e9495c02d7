"""What tests of stored rotations share."""

from collections.abc import Iterator

import pytest
from django.db import transaction

from streams.models import Channel, Rotation, Secret, SecretFunction
from streams.rotation import engine, starting
from tests.rotation.refusing import OLD, RefusingAws


@pytest.fixture
def secret(db: None) -> Secret:
    """A secret of a function that accepts two values, with no gateway."""
    made = Secret.objects.create(name="orders")
    with transaction.atomic():
        made.set_value(OLD)
    SecretFunction.objects.create(secret=made, name="orders-export", region="eu-central-1")
    return made


@pytest.fixture
def rotation(secret: Secret) -> Rotation:
    return starting.start(secret, by="ada")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[RefusingAws]:
    made = RefusingAws()
    address = f"http://127.0.0.1:{made.server.server_address[1]}"
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
    }.items():
        monkeypatch.setenv(name, value)
    engine.account.cache_clear()
    yield made
    engine.account.cache_clear()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def channel(db: None) -> Channel:
    return Channel.objects.create(name="hook", kind="webhook", address="https://example.com/")
