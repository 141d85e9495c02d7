"""The doctor's own runs: due rows, one worker each, and a change of health that is told once."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from celery import Celery
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from portal.celery import app
from streams import tasks
from streams.doctor import engine, storing
from streams.doctor.run import Report
from streams.models import (
    Channel,
    Checkup,
    DoctorRun,
    Endpoint,
    Health,
    Notice,
    Secret,
    Why,
)
from streams.notices.wording import link
from tests.doctor.conftest import Clinic
from tests.doctor.origins import Origin

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def origin() -> Iterator[Origin]:
    made = Origin()
    yield made
    made.close()


@pytest.fixture
def endpoint(origin: Origin) -> Endpoint:
    return Endpoint.objects.create(slug="orders", title="Orders", kind="http", url=origin.url)


@pytest.fixture
def row(endpoint: Endpoint) -> Checkup:
    """The checkup of the endpoint, which is due; that of the portal is not."""
    engine.due()
    Checkup.objects.filter(endpoint=None).update(due_at=Now() + timedelta(days=1))
    return Checkup.objects.get(endpoint=endpoint)


@pytest.fixture
def _heard() -> Iterator[None]:
    """Messages reach a worker, which is this process."""
    made = Celery("tests", broker="memory://")
    made.conf.task_always_eager = made.conf.task_eager_propagates = True
    made.set_current()
    yield
    app.set_current()


def examined(row: Checkup) -> Checkup:
    """A worker's run, whenever it would be due."""
    Checkup.objects.filter(pk=row.pk).update(due_at=Now())
    engine.examine(row.pk)
    row.refresh_from_db()
    return row


def told() -> list[str]:
    return list(Notice.objects.order_by("created_at", "pk").values_list("event", flat=True))


def test_a_run_is_stored_and_the_next_one_is_due_hours_later(
    row: Checkup, endpoint: Endpoint, settings: Settings
) -> None:
    assert engine.due() == [row.pk]

    engine.examine(row.pk)

    row.refresh_from_db()
    run = row.runs.get()
    assert (row.health, row.reason, row.lease_until) == (Health.HEALTHY, "", None)
    assert (run.why, run.errors, run.health) == (Why.SCHEDULE, 0, Health.HEALTHY)
    assert run.passed == len(run.report["passed"]) > 0
    assert row.looked_at is not None
    pause = (row.due_at - row.looked_at).total_seconds()
    assert 0.8 * settings.DOCTOR_EVERY <= pause <= 1.2 * settings.DOCTOR_EVERY
    assert engine.due() == []


def test_many_that_are_new_do_not_come_at_once(settings: Settings) -> None:
    Endpoint.objects.bulk_create(
        Endpoint(slug=f"e{n}", title="E", kind="http", url="http://127.0.0.1:1/")
        for n in range(200)
    )

    first = engine.due()

    assert len(first) == engine.AT_ONCE
    soon = Checkup.objects.due()
    assert soon.count() == 2  # the portal and the first of them
    rows = Checkup.objects.exclude(endpoint=None).order_by("due_at")
    times = list(rows.values_list("due_at", flat=True))
    assert len(times) == 200
    gaps = {round((b - a).total_seconds()) for a, b in pairwise(times)}
    assert gaps == {engine.STEP}
    # While one is made, the others wait for it, but for those that somebody has asked for.
    Checkup.objects.filter(pk=first[0]).update(lease_until=Now() + timedelta(seconds=30))
    assert engine.due() == []
    asked = engine.ask(Endpoint.objects.get(slug="e199"), by="ada")
    assert engine.due() == [asked.pk]


def test_one_that_is_disabled_is_examined_only_when_somebody_asks(
    row: Checkup, endpoint: Endpoint
) -> None:
    Endpoint.objects.update(enabled=False)
    assert engine.due() == []

    engine.ask(endpoint, by="ada")
    assert engine.due() == [row.pk]
    engine.examine(row.pk)

    run = DoctorRun.objects.get()
    assert (run.why, run.by) == (Why.DEMAND, "ada")
    row.refresh_from_db()
    assert (row.asked_at, row.why) == (None, Why.SCHEDULE)


def test_of_two_workers_one_makes_the_run(row: Checkup, origin: Origin) -> None:
    def second() -> None:
        engine.examine(row.pk)
        connection.close()

    origin.before = second
    engine.examine(row.pk)

    assert DoctorRun.objects.count() == 1


def test_one_whose_worker_was_killed_is_made_again_and_a_late_result_does_not_count(
    row: Checkup, origin: Origin
) -> None:
    def killed() -> None:
        origin.before = lambda: None
        # As five minutes later, when another worker has taken over.
        Checkup.objects.filter(pk=row.pk).update(
            token=F("token") + 1, lease_until=Now() - timedelta(seconds=1)
        )
        connection.close()

    origin.before = killed
    engine.examine(row.pk)

    assert not DoctorRun.objects.exists()
    assert engine.due() == [row.pk]
    engine.examine(row.pk)
    assert DoctorRun.objects.count() == 1


def test_one_that_cannot_be_looked_at_at_all_does_not_keep_the_others_waiting(
    row: Checkup, endpoint: Endpoint, origin: Origin
) -> None:
    # What no form lets through, so that looking at it fails.
    Endpoint.objects.update(segments=[1])
    other = Endpoint.objects.create(slug="other", title="Other", kind="http", url=origin.url)
    later = Checkup.objects.create(endpoint=other)
    assert engine.due() == [row.pk]

    with pytest.raises(AttributeError):
        engine.examine(row.pk)

    assert engine.due() == [later.pk]
    row.refresh_from_db()
    assert (row.looked_at, row.lease_until) == (None, None)


def test_after_its_worker_was_killed_it_is_last_in_the_queue(row: Checkup, origin: Origin) -> None:
    other = Endpoint.objects.create(slug="other", title="Other", kind="http", url=origin.url)
    later = Checkup.objects.create(endpoint=other)
    # Not in the same millisecond, which is as exact as SQLite's clock is.
    Checkup.objects.filter(pk=later.pk).update(due_at=Now() - timedelta(seconds=1))

    assert engine._claim(row.pk) is not None
    assert engine.due() == []
    Checkup.objects.filter(pk=row.pk).update(lease_until=Now() - timedelta(seconds=1))

    assert engine.due() == [later.pk]


@pytest.mark.usefixtures("_heard")
def test_one_tick_has_all_that_is_due_examined_one_after_the_other(
    row: Checkup, endpoint: Endpoint, origin: Origin
) -> None:
    other = Endpoint.objects.create(slug="other", title="Other", kind="http", url=origin.url)
    Checkup.objects.create(endpoint=other)

    tasks.advance_due()

    examined = DoctorRun.objects.values_list("checkup__endpoint__slug", flat=True)
    assert set(examined) == {"orders", "other"}


def test_who_asks_while_a_run_is_under_way_gets_another_one(
    row: Checkup, endpoint: Endpoint, origin: Origin
) -> None:
    def ask() -> None:
        origin.before = lambda: None
        engine.ask(endpoint, by="ada")
        connection.close()

    origin.before = ask
    engine.examine(row.pk)

    row.refresh_from_db()
    assert (row.health, row.asked_by) == (Health.HEALTHY, "ada")
    assert engine.due() == [row.pk]


def test_an_endpoint_that_goes_meanwhile_leaves_nothing(
    row: Checkup, endpoint: Endpoint, origin: Origin
) -> None:
    def delete() -> None:
        Endpoint.objects.all().delete()
        connection.close()

    origin.before = delete
    engine.examine(row.pk)

    assert not DoctorRun.objects.exists()


def test_failing_is_told_once_and_so_is_its_end(
    row: Checkup, endpoint: Endpoint, origin: Origin, settings: Settings
) -> None:
    settings.BASE_URL = "https://exports.example.com"
    Channel.objects.create(name="hook", kind="webhook", address="https://example.com/")
    examined(row)
    assert told() == []

    origin.status = 500
    for _ in range(3):
        examined(row)

    notice = Notice.objects.get()
    assert notice.event == "doctor-failing"
    assert notice.summary.startswith("The export orders is failing: ")
    assert notice.data["endpoint"] == "orders"
    assert notice.data["findings"][0].startswith("does-not-open: ")
    assert link(notice).endswith(f"/operate/streams/endpoint/{endpoint.pk}/doctor/")
    assert row.due_at - row.looked_at <= timedelta(seconds=storing.AGAIN)  # type: ignore[operator]

    origin.status = 200
    for _ in range(2):
        examined(row)

    assert told() == ["doctor-failing", "doctor-over"]
    assert row.failing_since is None


@pytest.mark.slow
def test_what_several_exports_fail_by_is_told_once_and_so_is_its_end(
    clinic: Clinic, settings: Settings
) -> None:
    Channel.objects.create(name="hook", kind="webhook", address="https://example.com/")
    first = Endpoint.objects.get()
    again = {"secret": first.secret, "kind": first.kind, "auth": first.auth, "url": first.url}
    for slug in ("second", "third"):
        Endpoint.objects.create(slug=slug, title=slug, **again)
    where = {"FunctionName": clinic.name, "StatementId": "public-url"}
    clinic.functions.remove_permission(**where)

    clinic.run()
    # Each of them fails, by the same.
    assert Checkup.objects.filter(failing_since__isnull=False).count() == 3
    (notice,) = Notice.objects.all()
    assert notice.data["findings"][0].startswith("permission-url: ")

    # What went for all goes away; one of the others still fails, which somebody must know.
    Endpoint.objects.filter(slug=notice.data["endpoint"]).delete()
    clinic.run()
    clinic.run()
    assert told() == ["doctor-failing", "doctor-failing"]

    clinic.functions.add_permission(
        **where, Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE"
    )
    clinic.run()
    assert told() == ["doctor-failing", "doctor-failing", "doctor-over"]


def test_two_that_see_it_at_once_tell_it_once(row: Checkup, origin: Origin) -> None:
    Channel.objects.create(name="hook", kind="webhook", address="https://example.com/")
    origin.status = 500
    report = engine._examined(row.endpoint)
    start = threading.Barrier(4)

    def see() -> None:
        start.wait()
        storing.record(row, report, why=Why.COMMAND, seconds=1)
        connection.close()

    threads = [threading.Thread(target=see) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert DoctorRun.objects.count() == 4
    assert told() == ["doctor-failing"]


def test_a_change_and_its_notice_are_stored_together_or_not_at_all(
    row: Checkup, origin: Origin
) -> None:
    # What no form lets through, so that telling fails.
    Channel.objects.create(name="hook", kind="webhook", address="https://example.com/", events=5)
    origin.status = 500

    with pytest.raises(TypeError):
        examined(row)

    row.refresh_from_db()
    assert (row.health, row.failing_since) == (Health.UNKNOWN, None)
    assert not DoctorRun.objects.exists()


def test_the_portal_is_told_of_by_a_link_to_its_page(settings: Settings) -> None:
    settings.BASE_URL = "https://exports.example.com"
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    Channel.objects.create(name="hook", kind="webhook", address="https://example.com/")

    for pk in engine.due():
        engine.examine(pk)

    notice = Notice.objects.get()
    assert notice.summary == "The portal is failing: The broker does not answer."
    assert link(notice) == "https://exports.example.com/operate/doctor/"


def test_the_last_runs_are_kept(row: Checkup) -> None:
    for _ in range(storing.KEPT + 3):
        storing.record(row, Report(), why=Why.COMMAND, seconds=0)

    kept = list(DoctorRun.objects.values_list("pk", flat=True))
    assert len(kept) == storing.KEPT
    assert DoctorRun.objects.latest("pk").pk == max(kept)


def test_a_list_of_endpoints_has_their_health_by_one_query(
    row: Checkup, origin: Origin, django_assert_num_queries: Any
) -> None:
    origin.status = 500
    examined(row)
    Endpoint.objects.create(slug="new", title="New", kind="http", url=origin.url)
    old = Endpoint.objects.create(slug="old", title="Old", kind="http", url=origin.url)
    Checkup.objects.create(endpoint=old, health=Health.FAILING, looked_at=Now() - timedelta(days=3))
    well = Endpoint.objects.create(slug="well", title="Well", kind="http", url=origin.url)
    Checkup.objects.create(endpoint=well, health=Health.HEALTHY, looked_at=Now())

    with django_assert_num_queries(1):
        rows: list[Any] = list(Endpoint.objects.with_health().worst_first())

    assert [(one.slug, one.health) for one in rows] == [
        ("orders", Health.FAILING),
        ("new", Health.UNKNOWN),
        ("old", Health.UNKNOWN),
        ("well", Health.HEALTHY),
    ]
    assert "does not open" in rows[0].health_reason
    assert rows[0].examined_at is not None


def test_there_is_one_row_for_the_portal(row: Checkup) -> None:
    assert not Checkup.objects.bulk_create([Checkup()], ignore_conflicts=True)[0].pk
    assert Checkup.objects.filter(endpoint=None).count() == 1


def test_secrets_that_no_endpoint_sends_are_the_portals(row: Checkup) -> None:
    Secret.objects.create(name="unused")
    portal = Checkup.objects.get(endpoint=None)

    examined(portal)

    assert portal.health == Health.HEALTHY
    assert portal.runs.get().report["passed"]
