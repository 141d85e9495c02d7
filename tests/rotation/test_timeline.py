"""What a rotation's page tells of each step, wherever the rotation stands."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from streams.models import Endpoint, Rotation, RotationState, Secret, SecretFunction
from streams.rotation import machine, starting
from streams.rotation.engine import _passing
from streams.rotation.machine import Progress
from streams.rotation.timeline import LONG, StepState, is_slow, timeline

STEPS = [
    "preflight", "generate", "admit", "prove both", "switch portal", "drain", "verify", "retire",
    "prove new", "finish",
]  # fmt: skip
BACK = ["verify back", "drain back"]


@pytest.fixture
def rotation(db: None) -> Rotation:
    secret = Secret.objects.create(name="orders")
    with transaction.atomic():
        secret.set_value("a-value-of-orders")
    SecretFunction.objects.create(secret=secret, name="orders", region="eu-central-1")
    Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", url="https://example.com",
        auth="secret-header", secret=secret,
    )  # fmt: skip
    return starting.start(secret, by="ann")


def at(rotation: Rotation, step: str, *passed: str, **fields: object) -> dict[str, StepState]:
    """The states of all steps of a rotation that stands at `step` and has said so of `passed`."""
    for name in passed:
        rotation.events.create(step=name, text="Done.")
    for name, value in {"step": step, **fields}.items():
        setattr(rotation, name, value)
    return {told.name: told.state for told in timeline(rotation)}


def test_all_steps_are_told_before_the_first_has_begun(rotation: Rotation) -> None:
    told = at(rotation, "preflight")

    assert list(told) == STEPS
    assert told.pop("preflight") == StepState.NOW
    assert set(told.values()) == {StepState.AHEAD}


def test_what_is_behind_is_done_and_what_is_ahead_is_not_begun(rotation: Rotation) -> None:
    told = at(rotation, "drain", *STEPS[:5])

    assert [told[name] for name in STEPS[:5]] == [StepState.DONE] * 5
    assert told["drain"] == StepState.NOW
    assert told["verify"] == StepState.AHEAD


def test_one_that_needs_help_stops_where_it_stands(rotation: Rotation) -> None:
    assert at(rotation, "admit", state=RotationState.STUCK)["admit"] == StepState.STOPPED


def test_on_the_way_back_what_was_done_is_taken_back(rotation: Rotation) -> None:
    told = at(rotation, "admit", *STEPS[:5], back=True)

    assert told["generate"] == StepState.DONE
    assert told["admit"] == StepState.NOW
    assert told["switch portal"] == StepState.UNDONE
    assert told["retire"] == StepState.AHEAD


def test_what_the_way_back_alone_has_is_told_of_a_rotation_that_comes_by_it(
    rotation: Rotation,
) -> None:
    ahead = at(rotation, "drain", *STEPS[:6], back=True)
    assert list(ahead) == [*STEPS[:4], *BACK, *STEPS[4:]]
    assert {ahead[name] for name in BACK} == {StepState.AHEAD}

    here = at(rotation, "drain back", back=True)
    assert [here[name] for name in BACK] == [StepState.AHEAD, StepState.NOW]

    ended = {"state": RotationState.ROLLED_BACK, "back": True}
    told = at(rotation, "preflight", *BACK, **ended)
    assert [told[name] for name in BACK] == [StepState.DONE, StepState.DONE]


@pytest.mark.parametrize("state", [RotationState.RUNNING, RotationState.ROLLED_BACK])
def test_a_rotation_that_turned_back_before_has_none_of_that(
    rotation: Rotation, state: RotationState
) -> None:
    step = "admit" if state == RotationState.RUNNING else "preflight"

    assert list(at(rotation, step, *STEPS[:3], back=True, state=state)) == STEPS


def test_at_the_end_all_is_done_or_taken_back(rotation: Rotation) -> None:
    assert set(at(rotation, "finish", state=RotationState.COMPLETED).values()) == {StepState.DONE}

    ended = {"state": RotationState.ROLLED_BACK, "back": True}
    told = at(rotation, "preflight", "preflight", "generate", **ended)
    assert told["generate"] == StepState.UNDONE
    assert told["retire"] == StepState.AHEAD


def test_a_step_has_its_events_and_its_end(rotation: Rotation) -> None:
    rotation.events.create(step="admit", text="The function accepts both.")
    at(rotation, "prove both", "admit")

    told = {step.name: step for step in timeline(rotation)}

    assert [event.text for event in told["admit"].events] == ["The function accepts both.", "Done."]
    assert told["admit"].ended_at == told["admit"].events[-1].at
    assert told["prove both"].ended_at is None


def test_without_a_plan_what_has_happened_is_told(rotation: Rotation) -> None:
    SecretFunction.objects.all().delete()

    told = at(rotation, "admit", "preflight", "generate")

    assert list(told) == ["preflight", "generate", "admit"]


def test_steps_of_another_plan_than_todays_are_told_too(rotation: Rotation) -> None:
    told = at(rotation, "switch gateway 7", "preflight")

    assert list(told) == ["preflight", "switch gateway 7"]


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (Progress("admit"), Progress("prove both"), "Done."),
        (Progress("admit"), Progress("admit", waiting="It settles."), ""),
        (Progress("finish"), Progress("finish", state=RotationState.COMPLETED), "Done."),
        (Progress("admit", back=True), Progress("generate", back=True), "Taken back."),
        (Progress("drain back", back=True), Progress("verify back", back=True), "Done."),
        (Progress("drain"), Progress("drain", back=True), ""),
        (
            Progress("retire"),
            Progress("admit", reached="retire"),
            "It goes on from admit once more.",
        ),
        (Progress("admit", reached="retire"), Progress("prove both", reached="retire"), "Done."),
        (Progress("admit"), machine.stuck(Progress("admit"), "AWS refuses."), ""),
    ],
)
def test_a_step_that_was_left_says_what_became_of_it(
    before: Progress, after: Progress, text: str
) -> None:
    assert _passing(before, after) == text


def test_a_long_step_is_slow_while_it_lasts(rotation: Rotation) -> None:
    now = timezone.now()
    rotation.step_at = now - LONG - timedelta(seconds=1)

    assert is_slow(rotation, now)
    assert not is_slow(rotation, now - timedelta(minutes=1))
    rotation.finished_at = now
    assert not is_slow(rotation, now)
