"""The audit log at /operate/: to be read, searched, exported and verified."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import AsyncClient, Client

from streams import audit
from streams.models import AuditEntry, User

LIST = "/operate/streams/auditentry/"


@pytest.fixture
def _entries(db: None) -> None:
    ann = User.objects.create_user("ann")
    audit.record("endpoint.changed", by=ann, what="orders", details={"changes": "url"})
    audit.record("secret.revealed", by=None, what="=cmd|calc")


@pytest.fixture
def operator(client: Client, _entries: None) -> Client:
    client.force_login(User.objects.create_superuser("op"))
    return client


def test_it_is_listed_searched_and_filtered(operator: Client) -> None:
    assert "changes: url" in operator.get(LIST).content.decode()
    for query in ("?q=ann", "?action=endpoint.changed", "?how__exact=command&q=orders"):
        page = operator.get(LIST + query).content.decode()
        assert "orders" in page
        assert "=cmd" not in page
    row = AuditEntry.objects.get(number=1)
    assert row.digest in operator.get(f"{LIST}1/change/").content.decode()


def test_nobody_adds_changes_or_deletes_an_entry(operator: Client) -> None:
    before = list(AuditEntry.objects.values())

    for address in ("add/", "1/change/", "1/delete/"):
        assert operator.post(LIST + address, {"post": "yes", "what": "x"}).status_code == 403
    operator.post(LIST, {"action": "delete_selected", "_selected_action": "1", "post": "yes"})

    assert list(AuditEntry.objects.values()) == before


def test_verify_is_a_button(operator: Client) -> None:
    assert "were read" not in operator.get(LIST + "verify/").content.decode()

    page = operator.post(LIST + "verify/").content.decode()

    assert "Every entry is as it was written, and none is missing." in page
    assert AuditEntry.objects.get(number=3).digest in page


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_entries")
async def test_it_is_exported_as_the_list_shows_it(async_client: AsyncClient) -> None:
    user = await User.objects.acreate(username="op", is_superuser=True, is_staff=True)
    await async_client.aforce_login(user)

    async def got(path: str) -> str:
        answer: Any = await async_client.get(LIST + path)
        assert answer.streaming
        assert "attachment" in answer["Content-Disposition"]
        return b"".join([part async for part in answer.streaming_content]).decode()

    rows = list(csv.DictReader(io.StringIO(await got("csv/"))))
    assert [row["number"] for row in rows] == ["1", "2", "3"]
    assert json.loads(rows[0]["details"]) == {"changes": "url"}
    # A spreadsheet would run it.
    assert rows[1]["what"] == "'=cmd|calc"
    lines = [json.loads(line) for line in (await got("json/?q=ann")).splitlines()]
    assert [(line["what"], line["details"]) for line in lines] == [("orders", {"changes": "url"})]
    assert (await async_client.get(LIST + "csv/?nonsense=1")).status_code == 400


def test_the_list_costs_the_same_for_many(
    operator: Client, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    audit.append([audit.Event("test.ran", f"run {number}") for number in range(60)])

    with django_assert_max_num_queries(9):
        operator.get(LIST)
