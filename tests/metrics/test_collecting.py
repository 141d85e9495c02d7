"""What `/metrics` tells, against what the database has."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django.fixtures import Settings

from streams import audit, tasks
from streams.delivery import abandoned
from streams.delivery.meter import Meter
from streams.delivery.throttle import Throttles
from streams.models import (
    Channel,
    Checkup,
    CutWatch,
    DoctorRun,
    Download,
    DriftCheck,
    Endpoint,
    Figure,
    Figures,
    Installation,
    Notice,
    Rotation,
    Secret,
    State,
    Tally,
    Why,
)
from streams.models.health import Health

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read() -> Samples:
    """The samples by their names and labels, as Prometheus reads them."""
    answer = Client().get("/metrics", headers={"host": "localhost"})
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"spillway_{name}", tuple(sorted(labels.items()))))


def endpoint(slug: str = "orders") -> Endpoint:
    return Endpoint.objects.create(slug=slug, title=slug, kind="http", url="https://example.com/")


def ended(state: State, **fields: Any) -> Download:
    return Download(
        slug="orders", username="ann", state=state, finished_at=timezone.now(), **fields
    )


@pytest.mark.django_db(transaction=True)
async def test_downloads_are_counted_as_they_end_and_their_bytes_as_they_are_sent() -> None:
    await endpoint_made()
    meter = Meter(Throttles(), lambda _: None, Figures())
    record = await Download.objects.acreate(slug="orders", username="ann")
    record.started_at = timezone.now() - timedelta(seconds=20)
    record.first_byte_at = record.started_at + timedelta(seconds=3)
    meter.began(record)
    record.sent = 1_000
    await meter.flush()
    under_way = await sync_to_async(read)()
    record.sent, record.resumes, record.size = 5_000, 2, 5_000
    record.state, record.proof, record.finished_at = State.COMPLETE, "sha256", timezone.now()
    meter.ended(record)
    await meter.flush()

    over = await sync_to_async(read)()

    assert value(under_way, "download_bytes_total", endpoint="orders") == 1_000
    assert value(under_way, "downloads_running", endpoint="orders") == 1
    assert value(over, "download_bytes_total", endpoint="orders") == 5_000
    assert value(over, "downloads_running", endpoint="orders") is None
    counted = {"endpoint": "orders", "state": "complete", "proof": "sha256"}
    assert value(over, "downloads_total", **counted) == 1
    assert value(over, "download_resumes_total", endpoint="orders") == 2
    assert value(over, "download_first_byte_seconds_bucket", le="2.5") == 0
    assert value(over, "download_first_byte_seconds_bucket", le="5.0") == 1
    assert value(over, "download_first_byte_seconds_bucket", le="+Inf") == 1
    assert value(over, "download_first_byte_seconds_sum") == pytest.approx(3)
    assert value(over, "download_seconds_bucket", le="30.0") == 1


async def endpoint_made() -> None:
    await Endpoint.objects.acreate(
        slug="orders", title="Orders", kind="http", url="https://example.com/"
    )


@pytest.mark.django_db(transaction=True)
async def test_what_the_database_does_not_take_is_counted_once_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await endpoint_made()
    meter = Meter(Throttles(), lambda _: None, Figures())
    record = await Download.objects.acreate(slug="orders", username="ann")
    meter.began(record)
    record.sent, record.state, record.reason = 700, State.CUT, "truncated"
    record.finished_at = timezone.now()
    meter.ended(record)

    def away(*_: object) -> None:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(audit, "append", away)
        await meter.flush()
    assert not await Tally.objects.aexists(), "all or nothing"
    await meter.flush()
    await meter.flush()

    samples = await sync_to_async(read)()

    assert value(samples, "downloads_total", endpoint="orders", state="cut", proof="") == 1
    assert value(samples, "downloads_unfinished_total", state="cut", reason="truncated") == 1
    assert value(samples, "download_bytes_total", endpoint="orders") == 700


@pytest.mark.django_db
def test_a_download_whose_process_was_killed_counts_as_interrupted() -> None:
    endpoint()
    long_ago = timezone.now() - timedelta(minutes=5)
    Download.objects.create(slug="orders", username="ann", seen_at=long_ago)

    assert abandoned.interrupt() == 1
    assert abandoned.interrupt() == 0

    samples = read()
    counted = {"endpoint": "orders", "state": "interrupted", "proof": ""}
    assert value(samples, "downloads_total", **counted) == 1
    assert value(samples, "downloads_unfinished_total", state="interrupted",
                 reason="process_ended") == 1  # fmt: skip


@pytest.mark.django_db
def test_a_head_that_failed_was_no_download() -> None:
    figures = Figures()

    async def end() -> None:
        meter = Meter(Throttles(), lambda _: None, figures)
        meter.ended(ended(State.FAILED, reason="origin_unreachable"))

    asyncio.run(end())

    assert figures == {}


@pytest.mark.django_db
def test_endpoints_that_are_gone_are_told_no_more_and_go_on_when_they_are_back() -> None:
    figures = Figures()
    figures.count(Figure.BYTES, "orders", by=5)
    Tally.objects.add(figures)
    Tally.objects.add(figures)

    assert value(read(), "download_bytes_total", endpoint="orders") is None
    endpoint()
    assert value(read(), "download_bytes_total", endpoint="orders") == 10


@pytest.mark.django_db
def test_what_the_doctor_found_last_is_told_of_each_endpoint_and_of_the_portal() -> None:
    now = timezone.now()
    for of, health, errors in ((endpoint(), Health.FAILING, 2), (None, Health.HEALTHY, 0)):
        checkup = Checkup.objects.create(endpoint=of, health=health, looked_at=now)
        for each in (7, errors):
            DoctorRun.objects.create(
                checkup=checkup, why=Why.SCHEDULE, seconds=1, health=health, errors=each,
                warnings=1, passed=0, skipped=0, report={},
            )  # fmt: skip
    endpoint("unseen")

    samples = read()

    assert value(samples, "findings", endpoint="orders", severity="error") == 2
    assert value(samples, "findings", endpoint="", severity="error") == 0
    assert value(samples, "endpoints", health="failing") == 1
    assert value(samples, "endpoints", health="unknown") == 1
    assert value(samples, "endpoints", health="healthy") == 0


@pytest.fixture
def rotating() -> Rotation:
    secret = Secret.objects.create(name="guard", rotate_every=timedelta(days=30))
    version = secret.versions.create(
        number=1, value="v" * 32, fingerprint="0" * 12, state="current"
    )
    secret.versions.update(created_at=timezone.now() - timedelta(days=40))
    return Rotation.objects.create(
        secret=secret, mode="overlap", old=version, step="prove", state="stuck",
        stretch_at=timezone.now() - timedelta(minutes=7),
        due_at=timezone.now() - timedelta(minutes=3),
    )  # fmt: skip


@pytest.mark.django_db
def test_rotations_and_what_waits_for_a_worker_are_told(rotating: Rotation) -> None:
    DriftCheck.objects.create(secret=rotating.secret, found="The gateway has another value.")
    channel = Channel.objects.create(name="ops", kind="webhook", address="https://example.com/")
    then = timezone.now() - timedelta(hours=1)
    Notice.objects.create(channel=channel, event="test", key="1", summary="s", due_at=then)
    Notice.objects.create(channel=channel, event="test", key="2", summary="s", given_up_at=then)
    CutWatch.objects.create(endpoint=endpoint(), since=then)

    samples = read()

    assert value(samples, "rotations_open", step="prove", state="stuck") == 1
    age = value(samples, "rotation_step_age_seconds", state="stuck")
    assert age == pytest.approx(7 * 60, abs=30)
    assert value(samples, "rotation_step_age_seconds", state="running") == 0
    assert value(samples, "secrets_overdue") == 1
    assert value(samples, "secrets_drifted") == 1
    assert value(samples, "due", kind="rotation") == 1
    assert value(samples, "due_age_seconds", kind="rotation") == pytest.approx(180, abs=30)
    assert value(samples, "due_age_seconds", kind="notice") == pytest.approx(3600, abs=30)
    assert value(samples, "due_age_seconds", kind="setup") == 0
    assert value(samples, "notices", state="waiting") == 1
    assert value(samples, "notices", state="given-up") == 1
    assert value(samples, "endpoints_cut_often") == 1


@pytest.mark.django_db
def test_the_age_of_the_tick_grows_until_a_worker_hears_the_scheduler(settings: Settings) -> None:
    Installation.objects.here()
    Installation.objects.update(ticked_at=timezone.now() - timedelta(minutes=20))
    assert value(read(), "tick_age_seconds") == pytest.approx(1200, abs=30)

    tasks.advance_due.apply(throw=True)

    samples = read()
    assert (value(samples, "tick_age_seconds") or 0) < 30
    assert value(samples, "tick_period_seconds") == settings.TICK
    named = {"task": "streams.tasks.advance_due"}
    assert value(samples, "tasks_total", outcome="success", **named) == 1
    assert (value(samples, "task_seconds_total", **named) or 0) > 0


@pytest.mark.django_db
def test_tasks_that_fail_are_counted() -> None:
    tasks.send_notice.apply(("no id",))

    named = {"task": "streams.tasks.send_notice", "outcome": "failure"}
    assert value(read(), "tasks_total", **named) == 1


@pytest.mark.django_db
def test_without_its_database_the_portal_says_so_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: object) -> None:
        raise OperationalError

    monkeypatch.setattr(Tally.objects, "figures", away)

    samples = read()

    assert value(samples, "database_up") == 0
    assert {name for name, _ in samples} == {
        "spillway_build_info", "spillway_database_up", "spillway_collect_seconds"
    }  # fmt: skip
