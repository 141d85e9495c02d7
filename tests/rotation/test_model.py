"""The real steps over a model of AWS: whatever happens, no request that is due is refused."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.models import Mode, RotationState
from streams.rotation import machine
from streams.rotation.plan import Plan
from streams.rotation.run import Waits
from tests.rotation import world as model
from tests.rotation.world import BrokenInvariantError, Fault, Rotating, World

SHAPES: dict[str, dict[str, Any]] = {
    "no gateway": {"gateways": 0},
    "one gateway": {"gateways": 1},
    "two gateways": {"gateways": 2},
    "an alias": {"gateways": 1, "alias": True},
    "a gateway that does not tell": {"gateways": 1, "tells": False},
    "a stage variable": {"gateways": 1, "variable": "published"},
    "a stage variable that is not deployed": {"gateways": 1, "variable": "saved"},
    "a stage variable of a gateway that does not tell": {
        "gateways": 1,
        "variable": "saved",
        "tells": False,
    },
    "two aliases": {"gateways": 2, "pair": True},
    "two aliases and no gateway": {"gateways": 0, "pair": True},
    "two aliases and a gateway that does not tell": {"gateways": 1, "pair": True, "tells": False},
    "Secrets Manager": {"gateways": 1, "store": "there"},
    "Secrets Manager without the secret": {"gateways": 0, "store": "missing"},
}
# What any two faults are tried on: the others are made of the same parts.
TWO_FAULTS = ["one gateway", "an alias", "a gateway that does not tell", "Secrets Manager"]
# What is tried with every change; the others are made of the same parts, and tried besides.
QUICK = {
    "two gateways", "an alias", "a stage variable that is not deployed", "two aliases",
    "Secrets Manager",
}  # fmt: skip
shapes = pytest.mark.parametrize(
    "shape",
    [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in SHAPES],
)


def undisturbed(shape: str) -> World:
    world = World(**SHAPES[shape])
    assert Rotating(world).to_the_end() == RotationState.COMPLETED
    return world


def assert_rotated(world: World) -> None:
    assert world.latest == {**model.OTHERS, "KEY": "new"}
    assert {serving.value for serving in world.serving.values()} == {("new",)}
    assert_sent(world, ("green" if world.pair else next(iter(world.serving)), "new"))
    assert (world.current, world.retired) == ("new", {"old"})
    if world.stored_secret:
        world.stored_secret.assert_rotated()


def assert_sent(world: World, sent: tuple[str, str]) -> None:
    assert set(world.saved.values()) <= {sent}
    assert {sending.value for sending in world.sending.values()} <= {sent}
    assert world.portal.value == sent


def assert_as_before(world: World) -> None:
    assert world.latest == {**model.OTHERS, "KEY": "old"}
    # An alias that nobody calls has what it had, or the same as the other one.
    assert {serving.value for serving in world.serving.values()} <= {("old",), ("older",)}
    first = next(iter(world.serving))
    assert world.serving[first].value == ("old",)
    assert_sent(world, (first, "old"))
    assert world.current == "old"
    assert world.retired == {"new"}
    if world.stored_secret:
        world.stored_secret.assert_as_before()


@shapes
def test_it_rotates(shape: str) -> None:
    world = undisturbed(shape)

    assert_rotated(world)
    world.wait(100)
    for serving in world.serving.values():
        assert serving.met(world.now) == [("new",)]


@shapes
def test_any_fault_of_any_call_is_survived(shape: str) -> None:
    calls = len(undisturbed(shape).calls)

    for number, fault in itertools.product(range(calls), Fault):
        world = World(**SHAPES[shape], faults={number: fault})
        state = Rotating(world).to_the_end()
        world.wait(100)

        assert state == RotationState.COMPLETED, (number, fault)
        assert_rotated(world)


@shapes
def test_a_roll_back_at_any_time_leaves_everything_as_it_was(shape: str) -> None:
    rotating = Rotating(World(**SHAPES[shape]))
    rotating.to_the_end()
    ends = []

    for number in range(rotating.turns):
        world = World(**SHAPES[shape])
        ends.append(Rotating(world).to_the_end(roll_back_at=number))
        world.wait(100)
        if ends[-1] == RotationState.ROLLED_BACK:
            assert_as_before(world)
        elif ends[-1] == RotationState.COMPLETED:
            assert_rotated(world)

    # Up to the last look round it goes back, from there on forward.
    assert ends[0] == RotationState.FAILED
    assert ends[len(ends) // 2] == RotationState.ROLLED_BACK
    assert ends[-1] == RotationState.COMPLETED


def latest_way_back(shape: str) -> int:
    """The last turn of an undisturbed rotation before which it can still be rolled back."""
    rotating = Rotating(World(**SHAPES[shape]))
    turn = 0
    while rotating.plan.can_go_back_from(rotating.progress.step):
        turn = rotating.turns
        rotating.turn()
    return turn


@shapes
def test_faults_on_the_way_back_are_survived(shape: str) -> None:
    late = latest_way_back(shape)
    seen = World(**SHAPES[shape])
    assert Rotating(seen).to_the_end(roll_back_at=late) == RotationState.ROLLED_BACK

    for number, fault in itertools.product(range(len(seen.calls)), Fault):
        world = World(**SHAPES[shape], faults={number: fault})
        state = Rotating(world).to_the_end(roll_back_at=late)
        world.wait(100)

        assert state in (RotationState.ROLLED_BACK, RotationState.COMPLETED), (number, fault)
        (assert_as_before if state == RotationState.ROLLED_BACK else assert_rotated)(world)


@shapes
def test_a_late_call_is_looked_for_wherever_it_is_rolled_back(shape: str) -> None:
    seen = World(**SHAPES[shape])
    usual = Rotating(seen)
    usual.to_the_end()

    for number, turn in itertools.product(seen.mutations, range(usual.turns)):
        world = World(**SHAPES[shape], faults={number: Fault.ARRIVES_LATE})
        state = Rotating(world).to_the_end(roll_back_at=turn)
        world.wait(100)

        if state == RotationState.ROLLED_BACK:
            assert_as_before(world)
        elif state == RotationState.COMPLETED:
            assert_rotated(world)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("shape", TWO_FAULTS)
def test_any_two_faults_of_calls_that_change_something_are_survived(shape: str) -> None:
    for first_fault in Fault:
        for first in undisturbed(shape).mutations:
            one = World(**SHAPES[shape], faults={first: first_fault})
            Rotating(one).to_the_end()
            for second, fault in itertools.product(range(first + 1, len(one.calls)), Fault):
                world = World(**SHAPES[shape], faults={first: first_fault, second: fault})
                state = Rotating(world).to_the_end()
                world.wait(100)

                assert state == RotationState.COMPLETED, (first, first_fault, second, fault)
                assert_rotated(world)


@settings(max_examples=300)
@given(
    st.sampled_from(sorted(SHAPES)),
    st.dictionaries(st.integers(0, 150), st.sampled_from(Fault), max_size=12),
    st.none() | st.integers(0, 80),
)
def test_many_faults_and_a_roll_back_are_survived(
    shape: str, faults: dict[int, Fault], roll_back_at: int | None
) -> None:
    world = World(**SHAPES[shape], faults=faults)

    state = Rotating(world).to_the_end(roll_back_at=roll_back_at)

    world.wait(100)
    if state == RotationState.COMPLETED:
        assert_rotated(world)
    elif state == RotationState.ROLLED_BACK:
        assert_as_before(world)
    else:
        assert world.latest == {**model.OTHERS, "KEY": "old"}


def test_what_is_denied_for_ever_changes_nothing_more() -> None:
    numbers = undisturbed("two gateways").mutations

    for number in numbers:
        world = World(gateways=2, faults=dict.fromkeys(range(number, 1000), Fault.DENIED))
        rotating = Rotating(world)
        for _ in range(60):
            rotating.turn()

        assert rotating.progress.state == RotationState.STUCK
        assert rotating.progress.problem


# That the model can see a careless rotation: each of these is one.


def without(plan: Plan, *names: str) -> Plan:
    return Plan([step for step in plan.steps if step.name not in names], plan.last_to_undo)


@pytest.mark.parametrize(
    ("pair", "careless"),
    [
        (False, ("admit", "prove both")),
        (False, ("drain",)),
        (False, ("switch gateway 0",)),
        (False, ("switch portal",)),
        (True, ("drain",)),
        (True, ("switch gateway 0",)),
        (True, ("switch portal",)),
    ],
)
def test_the_model_sees_a_step_that_is_missing(pair: bool, careless: tuple[str, ...]) -> None:
    rotating = Rotating(World(gateways=2, pair=pair))
    rotating.plan = without(rotating.plan, *careless, "verify", "prove new")

    with pytest.raises(BrokenInvariantError):
        rotating.to_the_end()


# That of deployments is within the one for requests under way.
@pytest.mark.parametrize("wait", ["settle", "drain"])
@pytest.mark.parametrize("pair", [False, True])
def test_the_model_sees_a_wait_that_is_too_short(
    wait: str, pair: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = {"settle": 0.0, "propagation": 5.0, "drain": 0.0} | {
        name: getattr(model.WAITS, name) for name in ("settle", "drain") if name != wait
    }
    # A step that proves would notice, and wait by itself.
    monkeypatch.setattr(model, "WAITS", Waits(**shorter))
    rotating = Rotating(World(gateways=1, pair=pair))
    rotating.plan = without(rotating.plan, "prove both", "prove alias", "prove new")

    with pytest.raises(BrokenInvariantError):
        rotating.to_the_end()


# Requests may be refused meanwhile, but everything ends as it should.
CARELESS: list[tuple[Mode, dict[str, Any]]] = [
    (Mode.HOLD, {"gateways": 0}),
    (Mode.HOLD, {"gateways": 0, "store": "there"}),
    (Mode.GAP, {"gateways": 2}),
    (Mode.EMERGENCY, {"gateways": 2}),
    (Mode.EMERGENCY, {"gateways": 1, "store": "there"}),
    (Mode.EMERGENCY, {"gateways": 2, "pair": True}),
]
careless = pytest.mark.parametrize(("mode", "shape"), CARELESS)


@pytest.mark.parametrize(
    ("mode", "shape"),
    [pytest.param(*one, marks=[pytest.mark.slow] if len(one[1]) > 1 else []) for one in CARELESS],
)
def test_a_rotation_with_no_overlap_ends_with_the_new_value(
    mode: Mode, shape: dict[str, Any]
) -> None:
    seen = World(**shape, overlap=False)
    assert Rotating(seen, mode).to_the_end() == RotationState.COMPLETED

    for number, fault in itertools.product(range(len(seen.calls)), Fault):
        world = World(**shape, overlap=False, faults={number: fault})

        assert Rotating(world, mode).to_the_end() == RotationState.COMPLETED
        world.wait(100)
        assert_rotated(world)


@careless
def test_one_with_no_overlap_can_be_rolled_back_at_any_time(
    mode: Mode, shape: dict[str, Any]
) -> None:
    usual = Rotating(World(**shape, overlap=False), mode)
    usual.to_the_end()
    ends = []

    for number in range(usual.turns):
        world = World(**shape, overlap=False)
        ends.append(Rotating(world, mode).to_the_end(roll_back_at=number))
        world.wait(100)
        if ends[-1] == RotationState.ROLLED_BACK:
            assert_as_before(world)
        elif ends[-1] == RotationState.COMPLETED:
            assert_rotated(world)

    assert set(ends) == {
        RotationState.FAILED, RotationState.ROLLED_BACK, RotationState.COMPLETED
    }  # fmt: skip


def test_a_gateway_that_is_deleted_midway_keeps_it_in_the_overlap_and_not_from_going_back() -> None:
    world = World(gateways=2)
    rotating = Rotating(world)
    while rotating.progress.step != "drain":
        rotating.turn()
    world.gone.add(0)

    for _ in range(60):
        rotating.turn()
    assert (rotating.progress.step, rotating.progress.state) == ("verify", RotationState.STUCK)
    assert rotating.progress.problem == "gateway 0: AWS does not know it."
    assert world.serving[""].value == ("old", "new")

    assert rotating.to_the_end(roll_back_at=0) == RotationState.ROLLED_BACK
    world.wait(100)
    assert world.latest == {**model.OTHERS, "KEY": "old"}
    assert (world.saved[1], world.current) == (("", "old"), "old")
    assert "is there no more" in "".join(world.story)


@shapes
def test_a_gateway_that_is_deleted_when_there_is_no_way_back_holds_up_nothing(shape: str) -> None:
    number = latest_way_back(shape) + 1
    usual = Rotating(World(**SHAPES[shape]))
    usual.to_the_end()
    if not usual.world.gateways:
        return

    for turn in range(number, usual.turns):
        world = World(**SHAPES[shape])
        rotating = Rotating(world)
        for _ in range(turn):
            rotating.turn()
        world.gone.add(0)

        assert rotating.to_the_end() == RotationState.COMPLETED
        world.wait(100)
        assert_rotated(world)


@shapes
def test_one_is_given_up_wherever_it_stands_and_only_where_its_function_is_gone(
    shape: str,
) -> None:
    usual = Rotating(World(**SHAPES[shape]))
    usual.to_the_end()
    ends = []

    for number in range(usual.turns):
        faults: dict[int, Fault] = {}
        world = World(**SHAPES[shape], faults=faults)
        rotating = Rotating(world)
        for _ in range(number):
            rotating.turn()
        if rotating.progress.step == machine.UNTOUCHED:
            continue
        stood = rotating.progress
        rotating.give_up()
        assert rotating.progress == stood, "AWS still has the function"

        world.delete_function()
        for fault in Fault if number % 5 == 0 else []:
            faults[len(world.calls)] = fault
            rotating.give_up()
            assert not rotating.over, (number, fault)
        mutations = len(world.mutations)
        rotating.give_up()

        ends.append(rotating.progress.step)
        assert rotating.progress.state == RotationState.FAILED
        assert len(world.mutations) == mutations
        assert world.portal.value[1] == world.current
        assert world.retired == {"old", "new"} & world.stored - {world.current}
        assert_mended_by_a_repair(world)

    assert {"retire", "finish"} <= set(ends)


def assert_mended_by_a_repair(world: World) -> None:
    """A function that is made anew, with the value that the portal sends, is all that it takes."""
    # Of a pair, an operator says first which of the two is called.
    if world.pair or world.stored_secret:
        return
    world.make_function(world.current)
    assert Rotating(world, Mode.REPAIR).to_the_end() == RotationState.COMPLETED
    world.wait(100)
    assert world.latest == {**model.OTHERS, "KEY": world.current}
    assert_sent(world, (next(iter(world.serving)), world.current))


@shapes
def test_one_that_is_given_up_on_its_way_back_ends_as_well(shape: str) -> None:
    late = latest_way_back(shape)
    usual = Rotating(World(**SHAPES[shape]))
    usual.to_the_end(roll_back_at=late)

    for number in range(1, usual.turns - late):
        world = World(**SHAPES[shape])
        rotating = Rotating(world)
        for _ in range(late):
            rotating.turn()
        rotating.progress = machine.turn_back(rotating.progress, rotating.plan) or rotating.progress
        for _ in range(number):
            rotating.turn()
        world.delete_function()
        rotating.give_up()

        assert rotating.progress.state == RotationState.FAILED
        assert world.portal.value[1] == world.current
        assert_mended_by_a_repair(world)


@shapes
def test_whatever_was_late_or_lost_before_it_is_given_up_does_no_harm(shape: str) -> None:
    for number in undisturbed(shape).mutations:
        for fault in (Fault.ARRIVES_LATE, Fault.REPLY_LOST, Fault.KILLED_AFTER):
            world = World(**SHAPES[shape], faults={number: fault})
            rotating = Rotating(world)
            while len(world.calls) <= number:
                rotating.turn()
            world.delete_function()
            rotating.give_up()

            assert rotating.progress.state == RotationState.FAILED
            world.wait(100)
            assert world.portal.value[1] == world.current
            assert_mended_by_a_repair(world)


def test_the_model_sees_that_the_wrong_value_is_kept() -> None:
    world = World(gateways=1)
    rotating = Rotating(world)
    while rotating.progress.step != "retire":
        rotating.turn()
    world.delete_function()
    rotating.give_up()
    # As if the old one were kept.
    world.current = "old"

    with pytest.raises(AssertionError):
        assert_mended_by_a_repair(world)


def test_the_model_sees_that_a_late_call_is_not_looked_for_on_the_way_back() -> None:
    late = latest_way_back("one gateway")
    kept = set()

    for number in range(80):
        world = World(gateways=1, faults={number: Fault.ARRIVES_LATE})
        for turn in range(late + 1):
            again = World(gateways=1, faults=world.faults)
            rotating = Rotating(again)
            rotating.plan = without(rotating.plan, "verify back")
            if rotating.to_the_end(roll_back_at=turn) == RotationState.ROLLED_BACK:
                again.wait(100)
                kept |= {value for _, value in again.saved.values()}

    assert kept == {"old", "new"}
