"""Exports that are cut often: told once as that begins, and once as it ends."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from streams.delivery import cuts
from streams.models import Channel, Download, Endpoint, Notice

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint() -> Endpoint:
    Channel.objects.create(name="hook", kind="webhook", address="https://example.com/")
    return Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="https://example.com/"
    )


def ended(endpoint: Endpoint, count: int, state: str, *, at: datetime, reason: str = "") -> None:
    for _ in range(count):
        Download.objects.create(
            endpoint=endpoint, slug="orders", username="ann", state=state, reason=reason,
            started_at=at, finished_at=None if state == "running" else at,
        )  # fmt: skip


def told() -> list[str]:
    return [one.summary for one in Notice.objects.order_by("created_at", "summary")]


def test_each_change_is_told_once(endpoint: Endpoint) -> None:
    now = timezone.now()
    ended(endpoint, 5, "cut", at=now)
    ended(endpoint, 20, "complete", at=now)

    cuts.tell(now)
    cuts.tell(now)
    begun = ["The export orders is cut often: 5 of 25 downloads within an hour."]
    assert told() == begun
    assert Notice.objects.get().data["endpoint_id"] == endpoint.pk

    # At the border it is neither over nor told anew.
    ended(endpoint, 10, "complete", at=now)
    cuts.tell(now)
    assert told() == begun

    ended(endpoint, 15, "complete", at=now)
    for _ in range(2):
        cuts.tell(now)
    assert told() == [*begun, "The export orders is no longer cut often."]
    ended(endpoint, 30, "cut", at=now)
    cuts.tell(now + timedelta(seconds=30))
    assert len(told()) == 3


def test_an_export_that_nobody_downloads_any_more_is_not_cut(endpoint: Endpoint) -> None:
    now = timezone.now()
    ended(endpoint, 9, "cut", at=now)
    cuts.tell(now)

    cuts.tell(now + timedelta(hours=2))

    assert len(told()) == 2


@pytest.mark.parametrize(
    ("state", "count", "reason"),
    [
        ("cut", 4, ""), ("cut", 20, "stopped"), ("cancelled", 20, ""), ("running", 20, ""),
        ("failed", 20, ""),
    ],
)  # fmt: skip
def test_few_cuts_and_what_is_none_are_not_told(
    endpoint: Endpoint, state: str, count: int, reason: str
) -> None:
    now = timezone.now()
    ended(endpoint, count, state, at=now, reason=reason)
    ended(endpoint, 9, "cut", at=now - timedelta(minutes=61))

    cuts.tell(now)

    assert told() == []
