"""What tests of stored rotations share."""

import pytest
from django.db import transaction

from streams.models import Rotation, Secret, SecretFunction
from streams.rotation import starting

OLD = "old-" + "o" * 32


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
