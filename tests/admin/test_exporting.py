"""Every list that is exported: whole, as it is filtered, and harmless in a spreadsheet."""

import csv
import io
import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import AsyncClient
from django.urls import reverse

from streams.access.roles import Role
from streams.admin.exporting import ExportingAdmin
from streams.models import Endpoint, User
from tests.admin import test_admin
from tests.admin.test_admin import KEY, VALUE

pytestmark = pytest.mark.django_db(transaction=True)

world = test_admin.world


async def got(client: AsyncClient, name: str, query: str = "") -> str:
    answer: Any = await client.get(reverse(f"admin:streams_{name}") + query)
    assert answer.status_code == 200, name
    assert "attachment" in answer["Content-Disposition"]
    text = b"".join([part async for part in answer.streaming_content]).decode()
    assert VALUE not in text
    assert KEY not in text
    return text


@sync_to_async
def prepared() -> tuple[User, User]:
    formula = {"slug": "evil", "kind": "http", "url": "https://example.com/"}
    Endpoint.objects.create(title="=HYPERLINK(1)", **formula)
    Endpoint.objects.filter(slug="orders").update(operators=Group.objects.create(name="team"))
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.groups.add(Group.objects.get(name=Role.VIEWER))
    return User.objects.create_superuser("op"), viewer


async def test_whole_filtered_and_harmless(async_client: AsyncClient) -> None:
    operator, viewer = await prepared()
    await async_client.aforce_login(operator)
    exported = {
        model._meta.model_name: made
        for model, made in admin.site._registry.items()
        if isinstance(made, ExportingAdmin)
    }
    assert {"endpoint", "download", "rotation", "auditentry", "user", "apitoken", "notice"} == {
        *exported
    }

    for name, made in exported.items():
        rows = list(csv.DictReader(io.StringIO(await got(async_client, f"{name}_csv"))))
        lines = [json.loads(one) for one in (await got(async_client, f"{name}_json")).splitlines()]
        assert tuple(rows[0]) == tuple(lines[0]) == made.export.columns, name
        assert len(rows) == len(lines) == await made.model._default_manager.acount(), name

    told = await got(async_client, "endpoint_csv", "?q=evil")
    (row,) = csv.DictReader(io.StringIO(told))
    assert (row["title"], row["secret"]) == ("'=HYPERLINK(1)", "")
    orders = json.loads(await got(async_client, "endpoint_json", "?kind__exact=function-url"))
    assert (orders["slug"], orders["secret"], orders["health"]) == ("orders", "orders", "unknown")

    await async_client.aforce_login(viewer)
    for name in ("endpoint", "rotation", "download"):
        assert '"orders"' not in await got(async_client, f"{name}_json"), name
