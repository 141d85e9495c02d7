"""What one value that no key decrypts any more keeps from going on, and what it does not."""

import base64
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from celery import Celery
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from portal.celery import app
from streams import tasks
from streams.models import (
    Channel,
    Checkup,
    Download,
    DriftCheck,
    Endpoint,
    Notice,
    Rotation,
    RotationState,
    Secret,
    SecretFunction,
    SecretVersion,
)
from streams.net import errors
from streams.registry.apply import apply
from streams.registry.parse import parse
from streams.rotation import starting
from streams.rotation.driving import drive
from tests.rotation.refusing import OLD, RefusingAws
from tests.rotation.test_telling import told, turn

DAY = timedelta(days=1)
KEY = "fits none of SPILLWAY_ENCRYPTION_KEYS"


def another_key(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [base64.urlsafe_b64encode(b"x" * 32).decode()]


@pytest.fixture
def lost(db: None, settings: Settings) -> Secret:
    """A secret whose value was stored with a key that is gone."""
    made = Secret.objects.create(name="a-lost-one", rotate_every=DAY)
    SecretFunction.objects.create(secret=made, name="lost", region="eu-central-1")
    keys = settings.ENCRYPTION_KEYS
    another_key(settings)
    with transaction.atomic():
        made.set_value(OLD)
    settings.ENCRYPTION_KEYS = keys
    SecretVersion.objects.filter(secret=made).update(created_at=timezone.now() - 2 * DAY)
    return made


@pytest.fixture
def asked(lost: Secret) -> Endpoint:
    """Somebody to ask, so that a plan needs no AWS."""
    return Endpoint.objects.create(
        slug="lost", title="Lost", kind="function-url", auth="secret-header", secret=lost,
        url="http://127.0.0.1:1/",
    )  # fmt: skip


@pytest.fixture
def rotating(lost: Secret) -> Rotation:
    """Its rotation, which was begun before the key was lost."""
    version = lost.versions.defer("value").get()
    return Rotation.objects.create(secret=lost, mode="overlap", old=version, requested_by="ada")


@pytest.fixture
def _workers() -> Iterator[None]:
    """Messages reach a worker, which is this process."""
    made = Celery("tests", broker="amqp://127.0.0.1:1//")
    made.set_current()
    made.conf.task_always_eager = True
    yield
    app.set_current()


def test_a_secret_that_cannot_be_rotated_keeps_no_other_one_from_it(
    lost: Secret, secret: Secret, channel: Channel
) -> None:
    Secret.objects.update(rotate_every=DAY)
    SecretVersion.objects.update(created_at=timezone.now() - 2 * DAY)

    tasks.advance_due()

    assert [rotation.secret for rotation in Rotation.objects.all()] == [secret]
    # Of both: the one that has begun is late as well.
    assert told() == ["rotation-overdue"] * 2


def test_who_wants_to_rotate_it_is_told_why_it_cannot_be(lost: Secret, asked: Endpoint) -> None:
    with pytest.raises(starting.NotNowError, match=KEY):
        starting.start(lost, by="ada")
    with pytest.raises(CommandError, match=KEY):
        call_command("rotate", lost.name, "--repair", "--dry-run")
    out = StringIO()
    call_command("rotate", lost.name, "--dry-run", stdout=out)
    assert KEY in out.getvalue()

    assert not lost.is_rotating()


def test_a_rotation_that_has_lost_its_value_says_so_and_waits(
    aws: RefusingAws, channel: Channel, rotating: Rotation
) -> None:
    for _ in range(2):
        assert turn(rotating).state == RotationState.STUCK

    assert KEY in rotating.problem
    assert (rotating.lease_until, rotating.attempts) == (None, 2)
    assert rotating.due_at > timezone.now() + timedelta(minutes=4)
    assert told() == ["rotation-stuck"]


def test_it_goes_on_when_the_key_is_back(
    aws: RefusingAws, rotating: Rotation, settings: Settings
) -> None:
    turn(rotating)

    another_key(settings)
    starting.resume(rotating)

    assert "AWS does not allow it" in turn(rotating).problem


def test_one_that_has_changed_nothing_can_be_rolled_back_without_its_value(
    aws: RefusingAws, rotating: Rotation
) -> None:
    turn(rotating)

    starting.roll_back(rotating)

    assert turn(rotating).state == RotationState.FAILED
    assert rotating.problem == "An operator rolled it back."


def test_a_value_is_given_anew_where_the_old_one_is_lost(
    lost: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOST", "anew-" + "a" * 32)

    apply(parse("version: 1\nsecrets: [{name: a-lost-one, value_from_env: LOST}]\n"))

    found = lost.versions.order_by("number").defer("value")
    assert [version.state for version in found] == ["previous", "current"]
    assert found[1].value == "anew-" + "a" * 32


def test_a_word_that_cannot_be_heeded_yet_is_not_heard_again_and_again(
    aws: RefusingAws, rotating: Rotation
) -> None:
    Rotation.objects.update(step="admit")
    starting.roll_back(rotating)

    drive(rotating, lambda _: None, seconds=5)

    assert (rotating.state, rotating.token) == (RotationState.STUCK, 1)
    assert rotating.due_at > timezone.now() + timedelta(minutes=4)
    # It is kept for when there is a way back.
    assert rotating.roll_back


def test_the_page_and_the_story_of_one_that_has_lost_its_value(
    admin_client: Client, rotating: Rotation
) -> None:
    for page in (
        reverse("admin:streams_rotation_change", args=[rotating.pk]),
        reverse("admin:streams_secret_rotation", args=[rotating.secret_id]),
        reverse("admin:streams_rotation_changelist"),
    ):
        assert admin_client.get(page).status_code == 200
    call_command("rotate", rotating.secret.name, "--resume", "--json")


def test_a_look_for_drift_at_what_has_lost_its_value(lost: Secret) -> None:
    check = DriftCheck.objects.create(secret=lost)

    tasks.check_drift(check.pk)

    check.refresh_from_db()
    assert KEY in check.problem
    assert check.lease_until is None
    assert check.due_at > timezone.now() + timedelta(minutes=4)


@pytest.mark.usefixtures("_workers")
def test_the_doctor_looks_at_what_has_lost_its_value_and_at_the_others(
    aws: RefusingAws, lost: Secret, asked: Endpoint, secret: Secret
) -> None:
    other = Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", auth="secret-header", secret=secret,
        url="http://127.0.0.1:1/",
    )  # fmt: skip
    for endpoint in (asked, other):
        Checkup.objects.create(endpoint=endpoint, asked_by="ada", why="demand")
        Download.objects.create(
            endpoint=endpoint, state="failed", finished_at=timezone.now(),
            reason=errors.ForbiddenError.code,
        )  # fmt: skip

    tasks.advance_due()

    assert set(Checkup.objects.exclude(endpoint=None).values_list("token", flat=True)) == {1}
    assert not Checkup.objects.exclude(endpoint=None).filter(looked_at=None).exists()
    assert not Download.objects.filter(diagnosis="").exists()


@pytest.mark.usefixtures("_workers")
def test_whatever_is_due_besides_is_done_in_the_same_tick(
    aws: RefusingAws, rotating: Rotation, secret: Secret, settings: Settings
) -> None:
    lost: Any = rotating.secret
    keys = settings.ENCRYPTION_KEYS
    another_key(settings)
    silent = Channel.objects.create(name="lost", kind="webhook", address="https://127.0.0.1:1/")
    settings.ENCRYPTION_KEYS = keys
    other = starting.start(secret, by="ada")
    for one in (lost, secret):
        DriftCheck.objects.create(secret=one)
    for number in range(3):
        Notice.objects.create(channel=silent, event="test", key=f"{number}", summary="A test.")
    hook = Channel.objects.create(name="hook", kind="webhook", address="https://127.0.0.1:1/")
    heard = Notice.objects.create(channel=hook, event="test", key="a", summary="A test.")

    for _ in range(2):
        tasks.advance_due()

    tokens = {model: list(model.objects.order_by("pk").values_list("token", flat=True))
              for model in (Rotation, DriftCheck)}  # fmt: skip
    assert tokens == {Rotation: [1, 1], DriftCheck: [1, 1]}
    other.refresh_from_db()
    assert "AWS does not allow it" in other.problem
    heard.refresh_from_db()
    assert (heard.attempts, heard.lease_until) == (1, None)
    for notice in silent.notices.all():
        assert (notice.attempts, notice.lease_until) == (0, None)
        assert KEY in notice.problem
        assert notice.due_at > timezone.now() + timedelta(minutes=4)
    assert not Notice.objects.due().exists()


@pytest.mark.usefixtures("_workers")
def test_a_chore_of_the_tick_that_fails_keeps_no_other_from_its_turn(
    secret: Secret, channel: Channel
) -> None:
    Secret.objects.update(rotate_every=DAY)
    # What no form and no file would let in.
    Secret.objects.create(name="a-broken-one", rotate_every=DAY, window="25:00-26:00")
    broken = Secret.objects.get(name="a-broken-one")
    with transaction.atomic():
        broken.set_value(OLD)
    SecretVersion.objects.update(created_at=timezone.now() - 2 * DAY)
    Checkup.objects.create(endpoint=None, due_at=Now())

    with pytest.raises(ExceptionGroup):
        tasks.advance_due()

    assert [rotation.secret for rotation in Rotation.objects.all()] == [secret]
    assert told().count("rotation-overdue") == 1
    assert Checkup.objects.get().token == 1
