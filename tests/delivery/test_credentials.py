"""Which values a download may try, and where each is accepted."""

import pytest
from django.db import transaction

from streams.delivery.downloads import credentials_of
from streams.models import Endpoint, Secret, SecretFunction, SecretVersion

URLS = {"blue": "https://b.example.com/", "green": "https://g.example.com/"}


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    secret = Secret.objects.create(name="orders")
    with transaction.atomic():
        for value in ("o" * 32, "n" * 32):
            secret.set_value(value)
    return Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", auth="secret-header", secret=secret,
        url="https://b.example.com/orders",
    )  # fmt: skip


def places(endpoint: Endpoint) -> list[tuple[str, str]]:
    return [(credential.value[0], credential.place) for credential in credentials_of(endpoint)]


def test_the_current_value_comes_first(endpoint: Endpoint) -> None:
    assert places(endpoint) == [("n", ""), ("o", "")]


def test_each_value_leads_to_its_own_alias_and_a_rotation_is_seen_at_once(
    endpoint: Endpoint,
) -> None:
    assert endpoint.secret is not None
    SecretFunction.objects.create(
        secret=endpoint.secret, name="orders", accepts="one", aliases=["blue", "green"]
    )
    assert places(endpoint) == [("n", ""), ("o", "")]

    SecretFunction.objects.update(urls=URLS)
    SecretVersion.objects.filter(state="current").update(alias="green")
    SecretVersion.objects.filter(state="previous").update(alias="blue")

    assert places(endpoint) == [
        ("n", "https://g.example.com/orders"), ("o", "https://b.example.com/orders"),
    ]  # fmt: skip


def test_a_value_set_by_hand_belongs_to_the_alias_of_the_one_before(endpoint: Endpoint) -> None:
    SecretVersion.objects.filter(state="current").update(alias="green")
    assert endpoint.secret is not None

    with transaction.atomic():
        made = endpoint.secret.set_value("x" * 32)

    assert made.alias == "green"
