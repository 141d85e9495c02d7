"""The page of a rotation."""

import html
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from streams.models import (
    Download,
    Endpoint,
    Rotation,
    RotationState,
    Secret,
    SecretFunction,
)
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

    assert "It waits: <bdi>The stage is being deployed.</bdi>" in told
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


def rotate(client: Client, **fields: str) -> str:
    """What the dialog says, or says then."""
    page = reverse("admin:streams_secret_rotation", args=[Secret.objects.get().pk])
    answer = client.post(page, fields, follow=True) if fields else client.get(page)
    assert answer.status_code == 200
    return " ".join(html.unescape(answer.content.decode()).split())


@pytest.mark.parametrize(
    ("function", "has_gateway", "sentence"),
    [
        ({}, True, "No request is refused: the function accepts both values"),
        ({"accepts": "one", "aliases": ["blue", "green"]}, True, "each value has an alias"),
        ({"accepts": "one"}, False, "wait for some seconds at most"),
        ({"accepts": "one"}, True, "are refused, usually for some seconds"),
    ],
)
def test_the_dialog_says_what_is_touched_and_who_is_refused_meanwhile(
    operator: Client, rotation: Rotation, function: dict[str, Any], has_gateway: bool, sentence: str
) -> None:
    Rotation.objects.all().delete()
    SecretFunction.objects.update(**function)
    endpoint = Endpoint.objects.create(
        slug="orders", title="All <orders>", kind="http", url="https://example.com/",
        auth="secret-header", secret=rotation.secret,
    )  # fmt: skip
    if has_gateway:
        rotation.secret.gateways.create(
            type="http", api_id="a1", integration_id="i1", stage="$default"
        )

    told = rotate(operator)

    assert sentence in told
    assert "the function orders: its variable SECRET_HEADER" in told
    assert ("and its aliases blue, green" in told) == ("aliases" in function)
    assert ("HTTP API a1/$default" in told) == has_gateway
    assert reverse("admin:streams_endpoint_status", args=[endpoint.pk]) in told
    # Nothing is under way.
    assert "Type the name" not in told.partition("The value has leaked")[0]


def test_while_downloads_run_the_name_is_to_be_typed(operator: Client, rotation: Rotation) -> None:
    Rotation.objects.all().delete()
    endpoint = Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="https://example.com/",
        auth="secret-header", secret=rotation.secret,
    )  # fmt: skip
    Download.objects.create(endpoint=endpoint, slug="orders", username="ann")
    assert "1 download is under way with it. Type the name, orders:" in rotate(operator)

    for typed in ({}, {"sure": "Orders"}, {"sure": ""}):
        told = rotate(operator, what="start", **typed)
        assert "1 download is under way with this secret. Type its name" in told
    assert not Rotation.objects.exists()
    rotate(operator, what="start", sure="orders")

    assert Rotation.objects.get().mode == "overlap"
    # What has ended is no traffic.
    Rotation.objects.all().delete()
    Download.objects.update(state="complete", finished_at=timezone.now())
    rotate(operator, what="start")
    assert Rotation.objects.exists()
