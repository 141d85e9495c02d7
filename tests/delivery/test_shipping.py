"""From a line of nginx's log to the end of a record."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from streams.delivery import abandoned, limits, offload, shipping
from streams.delivery.shipping import Line
from streams.models import AuditEntry, Download, Endpoint, State, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def record() -> Download:
    """Handed over a minute ago."""
    ann = User.objects.create_user("ann")
    endpoint = Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="https://x.example/"
    )
    now = timezone.now()
    return Download.objects.create(
        endpoint=endpoint, slug="orders", user=ann, username="ann", offloaded=True, size=100,
        started_at=now - timedelta(minutes=1), seen_at=now + offload.LONGEST,
    )  # fmt: skip


def line(record: Download, **said: Any) -> bytes:
    fields = {
        "download": str(record.pk), "status": 200, "sent": 100, "done": "OK", "length": "100",
        "head": "0.020 : 0.300", "took": 50.0, "ended": timezone.now().timestamp(),
    }  # fmt: skip
    return json.dumps(fields | said).encode() + b"\n"


@pytest.mark.parametrize(
    ("said", "state", "reason"),
    [
        ({}, State.COMPLETE, ""),
        ({"sent": 99}, State.CUT, "truncated"),
        ({"sent": 0}, State.CUT, "truncated"),
        ({"sent": 40, "done": ""}, State.CANCELLED, "client_left"),
        ({"status": 499, "sent": 0, "done": "", "head": "-"}, State.CANCELLED, "client_left"),
        ({"length": ""}, State.CUT, "truncated"),
    ],
)  # fmt: skip
def test_how_it_ended(record: Download, said: dict[str, Any], state: State, reason: str) -> None:
    assert shipping.ship([line(record, **said)]) == 1

    record.refresh_from_db()
    assert (record.state, record.reason) == (state, reason)
    assert record.sent == said.get("sent", 100)
    assert record.finished_at is not None
    assert record.proof == ("length" if state == State.COMPLETE else "none")
    entry = AuditEntry.objects.latest("number")
    assert (entry.action, entry.details["outcome"]) == ("download.ended", str(state))


def test_its_first_byte_came_after_both_heads(record: Download) -> None:
    ended = timezone.now()
    shipping.ship([line(record, ended=ended.timestamp())])

    record.refresh_from_db()
    assert record.first_byte_at is not None
    after = record.first_byte_at - (ended - timedelta(seconds=50))
    assert abs(after.total_seconds() - 0.32) < 0.01


def test_a_line_counts_once(record: Download) -> None:
    said = line(record)

    assert [shipping.ship([said, said]), shipping.ship([line(record, sent=1)])] == [1, 0]

    record.refresh_from_db()
    assert record.state == State.COMPLETE


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"null", b"[]", b"{}", b'{"download": 5}', b"\xff\xfe", b"x" * 70000],
)
def test_what_is_no_line_is_passed_over(record: Download, text: bytes) -> None:
    assert Line.parse(text) is None
    assert shipping.ship([text, line(record)]) == 1


def test_a_download_that_the_portal_carries_is_none_of_its_business(record: Download) -> None:
    Download.objects.update(offloaded=False)

    assert shipping.ship([line(record)]) == 0


def test_it_holds_its_place_until_it_is_given_up_and_is_put_right_even_then(
    record: Download,
) -> None:
    assert abandoned.interrupt() == 0
    limited = Endpoint(slug="orders", limits={"per_user": 1}, pk=record.endpoint_id)
    assert record.user is not None
    with pytest.raises(limits.LimitError):
        limits.store(Download(endpoint_id=record.endpoint_id), limited, record.user)

    Download.objects.update(seen_at=timezone.now() - timedelta(minutes=1))
    assert abandoned.interrupt() == 1
    shipping.ship([line(record)])

    record.refresh_from_db()
    assert record.state == State.COMPLETE
