"""An operator, who sees no value of a secret, registers the place where AWS would tell it."""

import asyncio

import pytest
from django.contrib.auth.models import Group
from django.test import Client as Browser
from django.urls import reverse

from streams.access.addresses import address_policy
from streams.access.roles import Role, make_groups
from streams.aws.account import Account
from streams.delivery.downloads import target_of
from streams.models import Endpoint, User
from streams.net.client import Client
from streams.net.errors import UrlUnknownError
from streams.origins import Opened, Wanted, build
from tests.admin.test_admin import ENDPOINT_FORM
from tests.doctor.conftest import Clinic


@pytest.fixture
def told(clinic: Clinic) -> str:
    """Where Lambda's API tells the environment of the clinic's function, secret and all."""
    return f"{clinic.aws.url}/2015-03-31/functions/{clinic.name}/configuration"


def test_it_is_not_registered(clinic: Clinic, told: str) -> None:
    make_groups()
    olga = User.objects.create_user("olga", is_staff=True)
    olga.groups.add(Group.objects.get(name=Role.OPERATOR))
    browser = Browser()
    browser.force_login(olga)
    form = {"kind": "function-url", "url": told, "auth": "sigv4", "region": clinic.aws.region}

    answer = browser.post(reverse("admin:streams_endpoint_add_all"), ENDPOINT_FORM | form)

    assert "Expected: a function&#x27;s own URL" in answer.content.decode()
    assert not Endpoint.objects.filter(slug=ENDPOINT_FORM["slug"]).exists()


def test_it_is_not_asked(clinic: Clinic, told: str) -> None:
    """Where an older version has stored it."""
    endpoint = Endpoint(
        kind="function-url", url=told, auth="sigv4", region=clinic.aws.region, slug="told"
    )

    async def opened() -> Opened:
        client = Client(address_policy(), head_timeout=10)
        try:
            return await build(client, Account(), target_of(endpoint)).open(Wanted(), None)
        finally:
            await client.close()

    with pytest.raises(UrlUnknownError):
        asyncio.run(opened())
