"""What is told of rotations: once for each change, by the worker that made it, and by no other."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from streams.models import (
    Channel,
    Checkup,
    Endpoint,
    Gateway,
    Notice,
    Rotation,
    RotationEvent,
    RotationState,
    Secret,
    SecretFunction,
    SecretVersion,
)
from streams.rotation import engine, starting, telling
from streams.tasks import advance_due
from tests.rotation.refusing import DENIED, MISSING, OLD, RefusingAws

DAY = timedelta(days=1)


def turn(rotation: Rotation) -> Rotation:
    """A worker's turn, whenever it would be due."""
    Rotation.objects.filter(pk=rotation.pk).update(due_at=Now())
    engine.advance(rotation.pk)
    rotation.refresh_from_db()
    return rotation


def told() -> list[str]:
    return list(Notice.objects.order_by("created_at", "pk").values_list("event", flat=True))


def test_the_same_trouble_is_told_once_however_often_it_is_met(
    aws: RefusingAws, channel: Channel, rotation: Rotation
) -> None:
    for _ in range(4):
        assert turn(rotation).state == RotationState.STUCK

    assert len(aws.calls) == 4
    notice = Notice.objects.get()
    assert (notice.event, notice.channel) == ("rotation-stuck", channel)
    assert notice.summary == "The rotation of orders needs help at preflight."
    assert notice.data["problem"] == rotation.problem
    assert notice.data["rotation_id"] == rotation.pk


def test_another_trouble_is_told_and_the_first_not_again(
    aws: RefusingAws, channel: Channel, rotation: Rotation
) -> None:
    for answer in (DENIED, MISSING, DENIED, MISSING):
        aws.answer = answer
        turn(rotation)

    problems = sorted(notice.data["problem"] for notice in Notice.objects.all())
    assert len(problems) == 2
    assert "AccessDeniedException" in problems[0]
    assert "The function has no URL" in problems[1]


@pytest.mark.parametrize("word", [starting.resume, starting.roll_back, starting.give_up])
def test_a_trouble_met_again_after_an_operators_word_is_told_again(
    aws: RefusingAws, channel: Channel, rotation: Rotation, word: Callable[[Rotation], None]
) -> None:
    # Where a roll-back has something to undo.
    Rotation.objects.update(step="admit")
    turn(rotation)
    word(rotation)
    for _ in range(2):
        turn(rotation)

    assert told() == ["rotation-stuck"] * 2


def test_each_channel_that_wants_it_is_told(
    aws: RefusingAws, channel: Channel, rotation: Rotation
) -> None:
    Channel.objects.create(name="ends", kind="mail", address="a@b.c", events=["rotation-failed"])
    Channel.objects.create(name="off", kind="mail", address="a@b.c", enabled=False)
    turn(rotation)
    assert [notice.channel for notice in Notice.objects.all()] == [channel]

    late = Channel.objects.create(name="late", kind="mail", address="a@b.c")
    turn(rotation)

    # What still needs help is news to a channel that is new.
    assert {notice.channel for notice in Notice.objects.all()} == {channel, late}
    assert Notice.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_has_lost_its_lease_tells_nothing(
    aws: RefusingAws, channel: Channel, rotation: Rotation
) -> None:
    def taken_over() -> None:
        Rotation.objects.update(token=F("token") + 1)
        connection.close()

    aws.before = taken_over
    turn(rotation)

    assert rotation.state == RotationState.RUNNING
    assert not Notice.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_state_and_its_notice_are_stored_together_or_not_at_all(
    aws: RefusingAws, channel: Channel, rotation: Rotation
) -> None:
    # What no form lets through, so that telling fails.
    Channel.objects.update(events=5)
    with pytest.raises(TypeError):
        turn(rotation)
    rotation.refresh_from_db()
    assert rotation.state == RotationState.RUNNING
    assert not RotationEvent.objects.exists()

    Channel.objects.update(events=["rotation-stuck"])
    Rotation.objects.update(lease_until=None)
    assert turn(rotation).state == RotationState.STUCK
    assert Notice.objects.count() == 1


def test_one_that_is_rolled_back_before_it_began_has_failed(
    aws: RefusingAws, channel: Channel, rotation: Rotation
) -> None:
    Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", url="https://example.com/",
        auth="secret-header", secret=rotation.secret,
    )  # fmt: skip
    starting.roll_back(rotation)

    for _ in range(2):
        turn(rotation)

    assert rotation.state == RotationState.FAILED
    assert told() == ["rotation-failed"]


def test_no_value_is_in_a_notice_or_in_a_log(
    aws: RefusingAws, channel: Channel, rotation: Rotation, caplog: pytest.LogCaptureFixture
) -> None:
    turn(rotation)

    rows = str(list(Notice.objects.values()))
    logged = str([vars(record) for record in caplog.records])
    for hidden in (OLD, "canary"):
        assert hidden not in rows
        assert hidden not in logged


def at_its_step_for(**since: float) -> None:
    Rotation.objects.update(stretch_at=Now() - timedelta(**since))


def test_a_step_that_takes_too_long_is_told_once(channel: Channel, rotation: Rotation) -> None:
    # It waits for two minutes at most, and ten more are nothing to worry about.
    at_its_step_for(minutes=11.5)
    telling.tell_slow()
    assert not told()

    at_its_step_for(minutes=12.5)
    for _ in range(3):
        telling.tell_slow()

    assert told() == ["rotation-stuck"]
    assert "for longer than it should take" in Notice.objects.get().summary


def test_one_that_goes_on_after_it_was_stuck_is_not_slow(
    aws: RefusingAws, channel: Channel, rotation: Rotation
) -> None:
    at_its_step_for(minutes=60)
    turn(rotation)
    # Its trouble is over, and it waits for something now.
    Rotation.objects.update(state=RotationState.RUNNING)

    telling.tell_slow()

    assert len(told()) == 1


def test_one_that_an_operator_has_resumed_has_time_again(
    channel: Channel, rotation: Rotation
) -> None:
    at_its_step_for(minutes=60)
    starting.resume(rotation)

    telling.tell_slow()

    assert not told()


@pytest.fixture
def overdue(secret: Secret) -> Secret:
    Secret.objects.update(rotate_every=30 * DAY)
    SecretVersion.objects.update(created_at=timezone.now() - 31 * DAY)
    return secret


def test_what_is_overdue_is_told_once_for_each_time_that_was_missed(
    channel: Channel, overdue: Secret
) -> None:
    for _ in range(3):
        telling.tell_overdue()

    notice = Notice.objects.get()
    assert (notice.event, notice.summary) == (
        "rotation-overdue",
        "The rotation of orders is overdue.",
    )
    assert notice.data["secret_id"] == overdue.pk
    SecretVersion.objects.update(created_at=timezone.now() - 40 * DAY)
    telling.tell_overdue()
    assert told() == ["rotation-overdue"] * 2


@pytest.mark.parametrize(
    "change",
    [{"rotation_paused": True}, {"rotate_every": None}, {"rotate_every": 31 * DAY}],
)
def test_what_is_not_overdue_is_not_told(
    channel: Channel, overdue: Secret, change: dict[str, object]
) -> None:
    Secret.objects.update(**change)

    telling.tell_overdue()

    assert not told()


def test_what_cannot_be_started_is_told_as_overdue(channel: Channel, overdue: Secret) -> None:
    SecretFunction.objects.all().delete()

    for _ in range(2):
        advance_due()

    assert told() == ["rotation-overdue"]


def test_the_doctor_looks_at_what_a_rotation_has_left(
    aws: RefusingAws, channel: Channel, rotation: Rotation
) -> None:
    Gateway.objects.create(
        secret=rotation.secret, type="rest", api_id="a1", resource_id="r1", method="GET",
        stage="prod", url="https://gateway.example/orders", region="eu-central-1",
    )  # fmt: skip
    far = Now() + DAY
    for slug, kind, url, secret in [
        ("own", "function-url", "https://example.com/", rotation.secret),
        ("through", "gateway", "https://gateway.example/orders", None),
        ("other", "http", "https://example.com/", None),
    ]:
        made = Endpoint.objects.create(
            slug=slug, title=slug, kind=kind, url=url, secret=secret,
            auth="secret-header" if secret else "none",
        )  # fmt: skip
        Checkup.objects.create(endpoint=made, due_at=far)
    starting.roll_back(rotation)
    assert not Checkup.objects.due().exists()

    for _ in range(2):
        turn(rotation)

    assert rotation.state == RotationState.FAILED
    due = Checkup.objects.due().order_by("pk").values_list("endpoint__slug", "why")
    assert list(due) == [("own", "rotation"), ("through", "rotation")]
