"""An operator's word that meets a worker in the middle of its turn is heard in the next one."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from django.db.models.signals import post_save

from streams.models import Channel, Endpoint, Rotation, RotationState, Secret, SecretVersion
from streams.rotation import engine, starting, timeline
from streams.rotation.driving import drive
from streams.rotation.lease import claim
from streams.rotation.timeline import StepState
from tests.rotation.refusing import MISSING, RefusingAws
from tests.rotation.test_telling import told, turn

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def asked(secret: Secret) -> Endpoint:
    """Somebody to ask, so that the plan needs no AWS."""
    return Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", auth="secret-header",
        secret=secret, url="https://example.com/",
    )  # fmt: skip


def due(rotation: Rotation) -> bool:
    return Rotation.objects.due().filter(pk=rotation.pk).exists()


def test_resume_is_heard_although_a_worker_is_at_it(
    aws: RefusingAws, asked: Endpoint, rotation: Rotation
) -> None:
    assert turn(rotation).state == RotationState.STUCK
    assert not due(rotation)

    def resumed() -> None:
        aws.before = lambda: None
        starting.resume(rotation)
        connection.close()

    aws.before = resumed
    Rotation.objects.update(due_at=Now())
    assert engine.advance(rotation.pk) == 0.0

    assert due(rotation)
    # Once: after the turn that has heard it, it waits its five minutes.
    assert engine.advance(rotation.pk) == 300.0
    assert not due(rotation)
    rotation.refresh_from_db()
    assert (rotation.resumed, rotation.attempts) == (False, 1)


def test_roll_back_is_heard_although_a_worker_is_at_it(
    aws: RefusingAws, asked: Endpoint, rotation: Rotation
) -> None:
    def rolled_back() -> None:
        starting.roll_back(rotation)
        connection.close()

    aws.before = rolled_back

    assert engine.advance(rotation.pk) == 0.0
    assert due(rotation)
    assert engine.advance(rotation.pk) is None
    rotation.refresh_from_db()
    assert (rotation.state, rotation.problem) == ("failed", "An operator rolled it back.")


@pytest.fixture
def generated(rotation: Rotation) -> Iterator[None]:
    """An operator rolls it back when the new value has just been made."""

    def rolled_back(instance: SecretVersion, **_: Any) -> None:
        if instance.state == SecretVersion.State.PENDING:
            starting.roll_back(rotation)

    post_save.connect(rolled_back, sender=SecretVersion)
    yield
    post_save.disconnect(rolled_back, sender=SecretVersion)


def test_a_worker_that_could_go_on_listens_between_two_steps(
    aws: RefusingAws, asked: Endpoint, rotation: Rotation, generated: None
) -> None:
    Rotation.objects.update(step="generate")

    engine.advance(rotation.pk)
    rotation.refresh_from_db()
    assert (rotation.step, rotation.roll_back) == ("admit", True)
    assert aws.calls == []


def test_who_waits_for_it_waits_until_the_word_was_heard(
    asked: Endpoint, rotation: Rotation
) -> None:
    Rotation.objects.update(state=RotationState.STUCK)
    # Another worker has it, and is never heard of again.
    assert claim(rotation.pk, 60) is not None
    Rotation.objects.update(lease_until=Now() + timedelta(seconds=0.7))
    starting.roll_back(rotation)

    drive(rotation, lambda _: None, seconds=30)

    assert rotation.state == RotationState.FAILED


def test_a_word_in_the_last_turn_is_not_waited_for(
    aws: RefusingAws, asked: Endpoint, rotation: Rotation
) -> None:
    starting.roll_back(rotation)
    lease = claim(rotation.pk, 60)
    assert lease is not None
    starting.give_up(rotation)
    engine._Worker(lease).work()
    rotation.refresh_from_db()
    assert (rotation.state, rotation.resumed) == (RotationState.FAILED, True)

    assert rotation.rests
    assert not rotation.was_given_up


@pytest.mark.parametrize("mode", ["overlap", "repair"])
def test_a_roll_back_is_heard_where_there_is_no_plan_and_nothing_to_undo(
    aws: RefusingAws, rotation: Rotation, mode: str
) -> None:
    # Nobody is registered who could be asked, and AWS tells of no URL.
    aws.answer = MISSING
    step = "admit" if mode == "repair" else "preflight"
    Rotation.objects.update(mode=mode, step=step, new=rotation.old)
    assert turn(rotation).state == RotationState.STUCK
    assert "no URL of auth type NONE" in rotation.problem

    starting.roll_back(rotation)
    drive(rotation, lambda _: None, seconds=5)

    ended = RotationState.ROLLED_BACK if mode == "repair" else RotationState.FAILED
    assert (rotation.state, rotation.roll_back) == (ended, False)


def test_rolling_back_what_has_changed_nothing_yet_is_done_at_once(
    aws: RefusingAws, asked: Endpoint, rotation: Rotation
) -> None:
    assert turn(rotation).state == RotationState.STUCK

    call_command("rotate", "orders", "--rollback", "--wait", stdout=StringIO(), stderr=StringIO())

    rotation.refresh_from_db()
    assert (rotation.state, rotation.step) == (RotationState.FAILED, "preflight")


def test_a_roll_back_that_needs_a_plan_waits_for_one_and_is_kept(
    aws: RefusingAws, rotation: Rotation
) -> None:
    Rotation.objects.update(step="admit")
    starting.roll_back(rotation)

    assert engine.advance(rotation.pk) == 300.0

    assert not due(rotation)
    rotation.refresh_from_db()
    assert (rotation.state, rotation.roll_back) == (RotationState.STUCK, True)
    assert rotation.rests


def test_a_repair_that_is_stuck_can_be_stopped(
    aws: RefusingAws, channel: Channel, asked: Endpoint, secret: Secret
) -> None:
    repair = starting.repair(secret, by="ada")
    Rotation.objects.update(step="admit")
    assert turn(repair).state == RotationState.STUCK
    calls = len(aws.calls)

    starting.roll_back(repair, by="ada")
    turn(repair)

    assert (repair.state, repair.back) == (RotationState.ROLLED_BACK, False)
    assert repair.problem == "An operator stopped it. What it has put back stays."
    assert len(aws.calls) == calls
    assert not secret.is_rotating()
    assert told() == ["rotation-stuck", "rotation-rolled-back"]
    assert not repair.events.filter(text="Done.").exists()
    steps = {step.name: step.state for step in timeline.timeline(repair)}
    assert (steps["preflight"], steps["admit"]) == (StepState.DONE, StepState.STOPPED)
    assert steps["restore"] == StepState.AHEAD
