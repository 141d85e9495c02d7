"""The page of a rotation."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from streams.models import Rotation, RotationState, Secret, SecretFunction
from streams.rotation import starting

pytestmark = pytest.mark.django_db


@pytest.fixture
def rotation() -> Rotation:
    secret = Secret.objects.create(name="orders")
    with transaction.atomic():
        secret.set_value("a-value-of-orders")
    SecretFunction.objects.create(secret=secret, name="orders", region="eu-central-1")
    return starting.start(secret, by="ann")


def text(client: Client, rotation: Rotation) -> str:
    answer = client.get(reverse("admin:streams_rotation_change", args=[rotation.pk]))
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_one_under_way_says_where_it_stands_and_can_be_acted_on(
    operator: Client, rotation: Rotation
) -> None:
    told = text(operator, rotation)

    assert "At preflight, step 1 of " in told
    assert "by ann" in told
    assert 'value="resume"' in told
    assert 'value="rollback"' in told
    assert 'data-again="2000"' in told


def test_one_that_stands_still_says_what_it_waits_for(operator: Client, rotation: Rotation) -> None:
    long_ago = timezone.now() - timedelta(minutes=11)
    Rotation.objects.update(step_at=long_ago, waiting="The stage is being deployed.")

    told = text(operator, rotation)

    assert "It waits: The stage is being deployed." in told
    assert "longer than a step should take" in told


def test_one_that_has_ended_says_how_long_it_took_and_is_left_alone(
    operator: Client, rotation: Rotation
) -> None:
    ended = rotation.started_at + timedelta(seconds=4.2)
    Rotation.objects.update(state=RotationState.COMPLETED, finished_at=ended)

    told = text(operator, rotation)

    assert "It took 4.2 s." in told
    assert "data-again" not in told
    assert 'value="resume"' not in told
