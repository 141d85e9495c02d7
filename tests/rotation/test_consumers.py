"""Others read the value in Secrets Manager, and are refused nothing either."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from streams.models import Mode, RotationState
from streams.rotation.plan import Plan
from tests.rotation import world as model
from tests.rotation.test_model import SHAPES, assert_rotated, without
from tests.rotation.world import BrokenInvariantError, Fault, Rotating, World

NAMES = [name for name, shape in SHAPES.items() if "store" in shape]
names = pytest.mark.parametrize("name", NAMES)


def made(name: str, **more: Any) -> World:
    return World(**SHAPES[name], **more)


def test_who_keeps_a_value_for_long_presents_the_old_one_long_after_the_switch() -> None:
    world = made("Secrets Manager")
    rotating = Rotating(world)
    while rotating.progress.step != "drain":
        rotating.turn()
        met = {value for _, value in world.presented()}
        if "new" in met and rotating.progress.step == "switch store":
            assert ("old", "new") in world.serving[""].met(world.now)

    assert world.presented() == {("", "new")}


@names
@pytest.mark.parametrize("roll_back", [False, True])
def test_the_model_sees_a_wait_for_consumers_that_is_too_short(
    name: str, roll_back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "WAITS", replace(model.WAITS, consumers=0))
    rotating = Rotating(made(name))
    rotating.plan = without(rotating.plan, "prove both", "prove new")
    while roll_back and rotating.progress.step != "drain":
        rotating.turn()

    with pytest.raises(BrokenInvariantError):
        rotating.to_the_end(roll_back_at=0 if roll_back else None)


@names
def test_the_model_sees_a_label_that_moves_before_the_function_accepts_it(name: str) -> None:
    rotating = Rotating(made(name))
    steps = list(rotating.plan.steps)
    label = steps.pop(rotating.plan.index("switch store"))
    steps.insert(rotating.plan.index("admit"), label)
    rotating.plan = Plan(steps, rotating.plan.last_to_undo)

    with pytest.raises(BrokenInvariantError):
        rotating.to_the_end()


@names
def test_the_model_sees_a_label_that_never_moves(name: str) -> None:
    rotating = Rotating(made(name))
    rotating.plan = without(rotating.plan, "switch store", "verify", "prove new")

    with pytest.raises(BrokenInvariantError):
        rotating.to_the_end()


@pytest.mark.slow
@names
@pytest.mark.parametrize("mode", [Mode.HOLD, Mode.GAP, Mode.EMERGENCY])
def test_where_values_do_not_overlap_the_label_ends_on_the_new_one_all_the_same(
    name: str, mode: Mode
) -> None:
    gateways = 0 if mode == Mode.HOLD else 2
    shape: dict[str, Any] = SHAPES[name] | {"gateways": gateways, "overlap": False}
    seen = World(**shape)
    assert Rotating(seen, mode).to_the_end() == RotationState.COMPLETED
    assert_rotated(seen)

    for number, fault in itertools.product(range(len(seen.calls)), Fault):
        world = World(**shape, faults={number: fault})

        assert Rotating(world, mode).to_the_end() == RotationState.COMPLETED
        assert_rotated(world)


@pytest.mark.parametrize("mode", [Mode.HOLD, Mode.GAP])
def test_without_an_overlap_the_label_moves_as_soon_as_the_function_has_changed(
    mode: Mode,
) -> None:
    plan = Rotating(World(gateways=int(mode == Mode.GAP), store="there"), mode).plan

    assert plan.index("switch store") == plan.index("replace at once") + 1
