"""Looks at AWS while nothing rotates: due rows, one worker, and what is kept when AWS is silent."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from streams.models import DriftCheck, Rotation, Secret
from streams.rotation import calendar, drift, engine, starting


@pytest.fixture(autouse=True)
def _aws_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    engine.account.cache_clear()
    yield
    engine.account.cache_clear()


@pytest.fixture
def check(secret: Secret) -> DriftCheck:
    [pk] = drift.due()
    return DriftCheck.objects.get(pk=pk)


def test_a_secret_that_no_function_checks_or_without_a_value_is_not_looked_at(db: None) -> None:
    Secret.objects.create(name="bare")

    assert drift.due() == []


def test_where_aws_is_silent_that_is_told_and_what_was_found_stays(
    check: DriftCheck, settings: Settings
) -> None:
    DriftCheck.objects.update(found="It differs.")

    drift.check(check.pk)

    check.refresh_from_db()
    assert check.found == "It differs."
    assert "AWS did not answer" in check.problem
    assert check.looked_at is not None
    assert check.due_at - check.looked_at == timedelta(seconds=drift.AGAIN)
    assert check.lease_until is None


def test_one_that_somebody_looks_at_is_left_to_them(check: DriftCheck) -> None:
    DriftCheck.objects.update(lease_until=Now() + timedelta(seconds=30))

    drift.check(check.pk)

    check.refresh_from_db()
    assert check.looked_at is None
    assert drift.due() == []


def test_one_whose_worker_was_killed_is_looked_at_again(check: DriftCheck) -> None:
    DriftCheck.objects.update(lease_until=Now() - timedelta(seconds=1))

    assert drift.due() == [check.pk]


def test_what_was_seen_while_a_rotation_began_does_not_count(
    check: DriftCheck, secret: Secret
) -> None:
    starting.start(secret, by="ada")

    drift.check(check.pk)

    check.refresh_from_db()
    assert (check.looked_at, check.problem) == (None, "")


def test_a_repair_is_a_rotation_of_the_current_value_and_leaves_it_as_old_as_it_was(
    secret: Secret,
) -> None:
    Secret.objects.update(rotate_every=timedelta(days=30))
    before = calendar.next_due(calendar.with_past(Secret.objects.all()).get())

    repair = starting.repair(secret, by="ada")

    assert repair.old == repair.new
    with pytest.raises(starting.NotNowError, match="under way"):
        starting.start(secret, by="ben")
    Rotation.objects.update(state="completed", finished_at=Now())
    assert calendar.next_due(calendar.with_past(Secret.objects.all()).get()) == before
