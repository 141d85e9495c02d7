"""Records of downloads."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from streams import tasks
from streams.delivery import abandoned
from streams.models import Download, Installation
from streams.models.downloads import LEASE

pytestmark = pytest.mark.django_db


def download(**fields: Any) -> Download:
    return Download.objects.create(slug="orders", username="ann", **fields)


def test_what_a_killed_process_left_running_is_interrupted() -> None:
    now = timezone.now()
    left = download(seen_at=now - LEASE - timedelta(seconds=1), sent=5)
    running = download(seen_at=now)

    assert abandoned.interrupt(now) == 1

    left.refresh_from_db()
    running.refresh_from_db()
    assert (left.state, left.reason, left.finished_at) == (
        "interrupted", "process_ended", left.seen_at,
    )  # fmt: skip
    assert running.state == "running"


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "running", "finished_at": timezone.now()},
        {"state": "cut", "finished_at": None},
        {"state": "complete", "finished_at": timezone.now(), "size": 10, "sent": 9},
    ],
)
def test_the_database_refuses_a_state_that_contradicts_the_row(fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        download(**fields)


def test_a_tick_that_comes_late_interrupts_nobody() -> None:
    """The database may have been away, so that nobody could say that they live."""
    left = download(seen_at=timezone.now() - 2 * LEASE)

    def state(since: float) -> str:
        Installation.objects.update_or_create(
            pk=1, defaults={"ticked_at": timezone.now() - timedelta(seconds=since)}
        )
        tasks.advance_due()
        left.refresh_from_db()
        return left.state

    assert state(since=settings.TICK + 10) == "running"
    assert state(since=settings.TICK) == "interrupted"
