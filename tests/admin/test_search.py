"""Ctrl+K over everything: what is found, by whom, and what it costs."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from streams import audit
from streams.access.roles import Role
from streams.doctor import storing
from streams.doctor.run import judged
from streams.models import (
    ApiToken,
    AuditEntry,
    Channel,
    Checkup,
    Download,
    Endpoint,
    Rotation,
    Secret,
    User,
    Why,
)
from tests.admin import test_admin
from tests.admin.test_admin import KEY, VALUE, stored
from tests.admin.test_doctor import BROKEN

pytestmark = pytest.mark.django_db

world = test_admin.world


@pytest.fixture(autouse=True)
def _more(world: None) -> None:
    row = Checkup.objects.create(endpoint=Endpoint.objects.get())
    storing.record(row, judged([replace(BROKEN, secret_name="")]), why=Why.SCHEDULE, seconds=1)
    audit.record("endpoint.changed", by=User.objects.get(username="ann"), what="orders")


def found(client: Client, term: str) -> dict[str, list[str]]:
    """By the name of each kind: where its hits lead."""
    answer = client.get("/operate/search/?" + urlencode({"s": term}))
    assert answer.status_code == 200
    page = answer.content.decode()
    assert VALUE not in page
    assert KEY not in page
    sections = re.findall(r"<h2>([^<]+)</h2>\s*<ul>(.*?)</ul>", page, re.DOTALL)
    return {name: re.findall(r'<li><a href="([^"]+)"', hits) for name, hits in sections}


def test_everything_is_found_by_its_name_or_id(operator: Client) -> None:
    endpoint, secret = Endpoint.objects.get(), Secret.objects.get()
    rotation, download = Rotation.objects.get(), Download.objects.get()

    orders = found(operator, "orders")

    base = "/operate/streams"
    assert orders["Endpoints"] == [f"{base}/endpoint/{endpoint.pk}/"]
    assert orders["Secrets"] == [f"{base}/secret/{secret.pk}/change/"]
    assert orders["Rotations"] == [f"{base}/rotation/{rotation.pk}/change/"]
    assert orders["Downloads"] == [f"{base}/download/{download.pk}/change/"]
    entry = AuditEntry.objects.get(action="endpoint.changed")
    audited = f"{base}/auditentry/{entry.number}/change/"
    assert audited in orders["Audit log"]
    ann = found(operator, "ann")
    assert ann["Users"] == [f"{base}/user/{User.objects.get(username='ann').pk}/change/"]
    assert ann["Downloads"] == orders["Downloads"]
    assert audited in ann["Audit log"]
    for term, kind, link in (
        ("analy", "Groups", f"/operate/auth/group/{Group.objects.get(name='analysts').pk}/change/"),
        ("cron", "API tokens", f"{base}/apitoken/{ApiToken.objects.get().pk}/change/"),
        ("HOOK", "Channels", f"{base}/channel/{Channel.objects.get().pk}/change/"),
        ("notic", "Pages", f"{base}/notice/"),
        ("docto", "Pages", "/operate/doctor/"),
        (str(download.pk), "Downloads", f"{base}/download/{download.pk}/change/"),
        (str(entry.number), "Audit log", audited),
        ("holds another value", "Findings", f"{base}/endpoint/{endpoint.pk}/doctor/"),
    ):
        assert link in found(operator, term)[kind], term


def test_only_what_somebody_may_see_is_found(client: Client) -> None:
    endpoint = Endpoint.objects.get()
    endpoint.operators = Group.objects.create(name="team")
    endpoint.save()
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.groups.add(Group.objects.get(name=Role.VIEWER))
    client.force_login(viewer)

    assert found(client, "orders") == {}
    assert found(client, str(Download.objects.get().pk)) == {}
    assert "Findings" not in found(client, "holds another value")
    assert "Audit log" not in found(client, "ann")
    assert found(client, "ann")["Users"]
    viewer.groups.add(endpoint.operators)
    assert {"Endpoints", "Secrets", "Rotations", "Downloads", "Audit log"} <= {
        *found(client, "orders")
    }
    viewer.groups.clear()
    assert found(client, "orders") == found(client, "ann") == {}
    client.force_login(User.objects.get(username="ann"))
    assert client.get("/operate/search/?s=orders").status_code == 302


HOSTILE = [
    "", "  ", "%", "_", "%%%", "'; DROP TABLE x; --", "\0", "x\0z", "9" * 30, "-1", "x" * 5000,
    "<script>alert(1)</script>", "é\u202e🙂", "\ud800", "00000000-0000-0000-0000-000000000000",
    "\\", '"', "[", "{",
]  # fmt: skip


def test_whatever_is_typed_is_looked_for_as_it_stands(operator: Client) -> None:
    before = stored()

    for term in HOSTILE:
        answer = operator.get("/operate/search/", {"s": term.encode(errors="surrogatepass")})
        assert answer.status_code == 200, term
        page = answer.content.decode()
        assert "<script>alert" not in page
        assert "<h2>Endpoints</h2>" not in page, term

    assert stored() == before


def test_it_costs_the_same_for_many_and_leads_to_the_rest(
    operator: Client, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for number in range(20):
        Endpoint.objects.create(
            slug=f"many-{number}", title="Many", kind="http", url="https://example.com/"
        )
        Secret.objects.create(name=f"many-{number}")
        User.objects.create_user(f"many-{number}", is_staff=True)
        Download.objects.create(slug="many", username="many", state="running")

    with django_assert_max_num_queries(24):
        hits = found(operator, "many")
    with django_assert_max_num_queries(24):
        answer = operator.get("/operate/search/?s=many", headers={"X-Requested-With": "live"})

    assert len(hits["Endpoints"]) == 6
    assert hits["Endpoints"][-1] == "/operate/streams/endpoint/?q=many"
    assert hits["Downloads"][-1] == "/operate/streams/download/?q=many"
    assert "<html" not in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
