"""Records of downloads go when their time has come, and no others."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from streams.delivery import retention
from streams.models import Download
from streams.tasks import advance_due

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def record(slug: str, begun: datetime, state: str = "complete") -> None:
    ended = None if state == "running" else begun + timedelta(hours=1)
    Download.objects.create(
        slug=slug, username="ann", state=state, started_at=begun, finished_at=ended
    )


def left() -> set[str]:
    return set(Download.objects.values_list("slug", flat=True))


@pytest.fixture(autouse=True)
def _records() -> None:
    record("old", NOW - timedelta(days=40, hours=1))
    record("older", NOW - timedelta(days=400))
    record("young", NOW - timedelta(days=39))
    record("under-way", NOW - timedelta(days=41), "running")


def test_old_ones_are_forgotten_and_what_runs_is_not(settings: Settings) -> None:
    settings.KEEP_DOWNLOADS = 40

    assert retention.forget(NOW) == 2
    assert retention.forget(NOW) == 0

    assert left() == {"young", "under-way"}


def test_the_oldest_go_first_some_at_a_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.KEEP_DOWNLOADS = 40
    monkeypatch.setattr(retention, "BATCH", 1)

    assert retention.forget(NOW) == 1

    assert left() == {"old", "young", "under-way"}


@pytest.mark.parametrize(("days", "gone"), [(40, {"old", "older"}), (None, set())])
def test_each_tick_sees_to_it(settings: Settings, days: int | None, gone: set[str]) -> None:
    settings.KEEP_DOWNLOADS = days

    advance_due()

    # What says that it runs, and has not been heard of for long, ends with a tick.
    assert left() == {"old", "older", "young", "under-way"} - gone
