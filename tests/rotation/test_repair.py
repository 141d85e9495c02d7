"""What somebody else has changed is put back, whatever goes wrong on the way."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from streams.aws.secretsmanager import CURRENT, PENDING
from streams.models import Mode, RotationState
from streams.rotation.plan import found
from streams.rotation.run import Forgotten, Run
from tests.rotation import world as model
from tests.rotation.lagging import Lagging
from tests.rotation.test_model import SHAPES, assert_sent, shapes
from tests.rotation.world import Fault, Rotating, World


class Drifted(World):
    """The portal's requests are refused already; those of gateways must not be."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stored.add("alien")

    def presented(self) -> set[tuple[str, str]]:
        return super().presented() - {*self.portal.met(self.now)}


def function(world: World) -> None:
    """Somebody gave the function another value, as a template that was applied again does."""
    world.latest["KEY"] = "alien"
    first = next(iter(world.serving))
    if first:
        world.versions["2"] = dict(world.latest)
        world.aliases[first] = "2"
    world.serving[first] = Lagging(("alien",))


def gateways(world: World) -> None:
    for number, (place, _) in world.saved.items():
        world.saved[number] = (place, "alien")
        world.sending[number] = Lagging((place, "alien"))


def both(world: World) -> None:
    function(world)
    gateways(world)


def left_over(world: World) -> None:
    world.latest["KEY_NEXT"] = "older"
    first = next(iter(world.serving))
    if first:
        world.versions["1"]["KEY_NEXT"] = "older"
    world.serving[first] = Lagging(("old", "older"))


def not_deployed(world: World) -> None:
    for number, (place, _) in world.saved.items():
        world.saved[number] = (place, "alien")


def label(world: World) -> None:
    """Somebody put another value into Secrets Manager."""
    if world.stored_secret:
        world.stored_secret.versions["id-alien"] = "alien"
        world.stored_secret.labels[CURRENT] = "id-alien"
        world.stored_secret.read_by_consumers = Lagging("alien")


DRIFTS: list[Callable[[World], None]] = [
    function, gateways, both, left_over, not_deployed, label,
]  # fmt: skip
drifts = pytest.mark.parametrize("drift", DRIFTS)


def drifted(shape: str, drift: Callable[[World], None], **options: Any) -> World:
    world = Drifted(**SHAPES[shape], **options)
    # Requests are refused before the repair begins, unless both sides have the same.
    world.overlap = drift in (both, left_over) and not world.pair
    drift(world)
    return world


def differences(world: World) -> list[str]:
    rotating = Rotating(world, Mode.REPAIR)
    parts = rotating._pair() if world.pair else rotating._one()
    said: list[str] = []
    run = Run("old", "old", Forgotten(), model.WAITS, lambda: world.now, said.append)
    return list(found(run, parts))


def assert_repaired(world: World) -> None:
    assert world.latest == {**model.OTHERS, "KEY": "old"}
    first = next(iter(world.serving))
    assert world.serving[first].value == ("old",)
    assert_sent(world, (first, "old"))
    assert differences(world) == []
    if world.stored_secret:
        assert world.stored_secret.value_of(CURRENT) == "old"
        assert world.stored_secret.value_of(PENDING) is None
    assert (world.current, world.retired) == ("old", set())


@shapes
@drifts
def test_it_is_found_and_put_back(shape: str, drift: Callable[[World], None]) -> None:
    world = drifted(shape, drift)
    concerned: dict[Any, object] = {
        gateways: world.gateways, not_deployed: world.gateways, label: world.store
    }  # fmt: skip
    differs = concerned.get(drift, True) or world.store == "missing"
    assert bool(differences(world)) == bool(differs)

    assert Rotating(world, Mode.REPAIR).to_the_end() == RotationState.COMPLETED

    world.wait(100)
    assert_repaired(world)


# Where AWS does not say what a stage serves it is deployed to be sure, and what is missing is made.
UNDISTURBED = [
    name
    for name, shape in SHAPES.items()
    if shape.get("tells", True) and shape.get("store") != "missing"
]


@pytest.mark.parametrize("shape", UNDISTURBED)
def test_where_nothing_differs_nothing_is_found_and_nothing_changed(shape: str) -> None:
    world = World(**SHAPES[shape])
    assert differences(world) == []

    assert Rotating(world, Mode.REPAIR).to_the_end() == RotationState.COMPLETED
    assert not world.mutations


@pytest.mark.parametrize("shape", ["one gateway", "an alias", "two aliases", "Secrets Manager"])
@drifts
def test_any_fault_of_any_call_is_survived(shape: str, drift: Callable[[World], None]) -> None:
    seen = drifted(shape, drift)
    Rotating(seen, Mode.REPAIR).to_the_end()

    for number, fault in itertools.product(range(len(seen.calls)), Fault):
        world = drifted(shape, drift, faults={number: fault})
        state = Rotating(world, Mode.REPAIR).to_the_end()
        world.wait(100)

        assert state == RotationState.COMPLETED, (number, fault)
        assert_repaired(world)


def test_what_is_found_has_no_value_in_it() -> None:
    sentences = differences(drifted("two gateways", both))

    assert len(sentences) == 5
    assert not any("alien" in sentence for sentence in sentences)


@shapes
@drifts
def test_one_that_is_stopped_has_made_nothing_worse(
    shape: str, drift: Callable[[World], None]
) -> None:
    usual = Rotating(drifted(shape, drift), Mode.REPAIR)
    usual.to_the_end()

    for number in range(usual.turns):
        world = drifted(shape, drift)
        end = Rotating(world, Mode.REPAIR).to_the_end(roll_back_at=number)
        calls = len(world.calls)
        world.wait(100)

        assert end == (RotationState.ROLLED_BACK if number else RotationState.FAILED)
        assert len(world.calls) == calls
        # It can be begun anew.
        assert Rotating(world, Mode.REPAIR).to_the_end() == RotationState.COMPLETED
        world.wait(100)
        assert_repaired(world)
