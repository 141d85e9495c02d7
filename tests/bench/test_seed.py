"""The portal that `bench.seed` makes up, and what `bench.pages` measures of it."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.cache import cache
from django.db import transaction

from bench import pages
from bench.seed import filling
from streams.access.roles import Role
from streams.audit.verifying import verify
from streams.models import AuditEntry, Download, Endpoint, Secret, State, User

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def seed(endpoints: int, *, seed: int = 1) -> None:
    filling.everything(
        endpoints=endpoints, downloads=10 * endpoints, audit=10 * endpoints, users=endpoints,
        dice=random.Random(seed), now=NOW, password="correct",
    )  # fmt: skip


def told() -> dict[str, Any]:
    """Of each table something that follows from the dice."""
    return {
        "downloads": list(Download.objects.order_by("started_at").values_list("id", "sent")),
        "values": [one.versions.get().value for one in Secret.objects.order_by("name")],
        "entries": list(AuditEntry.objects.filter(number__lte=20).values_list("actor", "details")),
    }


def test_the_same_seed_makes_the_same_portal_and_an_audit_log_that_is_whole() -> None:
    found = []
    for dice in (1, 1, 2):
        with transaction.atomic():
            seed(20, seed=dice)
            found.append(told())
            verdict = verify()
            assert (verdict.problems, verdict.entries) == ([], 201)
            assert Download.objects.filter(state=State.RUNNING).count() == 20
            assert Download.objects.running().count() == 20
            assert Endpoint.objects.count() == User.objects.filter(is_staff=False).count() == 20
            transaction.set_rollback(True)

    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    "who", [Role.ADMINISTRATOR, pytest.param(Role.OPERATOR, marks=pytest.mark.slow)]
)
def test_no_page_of_the_operators_asks_more_of_a_larger_database(who: Role) -> None:
    queries = []
    for endpoints in (10, 30):
        cache.clear()
        with transaction.atomic():
            seed(endpoints)
            figures = list(pages.measured(who, "", rounds=0))
            queries.append({f"{one.name} {one.query}": one.queries for one in figures})
            transaction.set_rollback(True)

    few, many = queries
    assert len(few) > 60
    assert {name: (few[name], count) for name, count in many.items() if count > few[name]} == {}
    assert max(many.values()) <= 25
