"""Two aliases that take turns: what keeps them from it, and where each value leads."""

from dataclasses import replace

import pytest

from streams.aws.urls import moved
from streams.models import RotationState, SecretFunction
from streams.rotation.machine import Progress
from tests.rotation import world as model
from tests.rotation.world import Rotating, World

BLUE, GREEN = (
    "https://b.lambda-url.eu-central-1.on.aws/",
    "https://g.lambda-url.eu-central-1.on.aws/",
)
URLS = {"blue": BLUE, "green": GREEN}


def ended(world: World) -> Progress:
    rotating = Rotating(world)
    rotating.to_the_end()
    return rotating.progress


def test_callers_of_different_aliases_stop_it_before_anything_is_changed() -> None:
    world = World(gateways=2, pair=True)
    world.urls["green"] = replace(world.urls["blue"], url="https://green/")
    world.saved[1] = ("green", "old")

    progress = ended(world)

    assert progress.state == RotationState.FAILED
    assert "one and the same of the aliases blue and green" in progress.problem
    assert not world.mutations


def test_a_gateway_whose_saved_and_deployed_address_differ_stops_it() -> None:
    world = World(gateways=1, pair=True)
    world.urls["green"] = replace(world.urls["blue"], url="https://green/")
    world.saved[0] = ("green", "old")

    assert ended(world).state == RotationState.FAILED
    assert not world.mutations


@pytest.mark.parametrize("address", ["https://latest/orders", "orders", "orders:red"])
def test_an_endpoint_that_calls_neither_alias_stops_it(address: str) -> None:
    world = World(gateways=1, pair=True, addresses=[address])

    progress = ended(world)

    assert progress.state == RotationState.FAILED
    assert not world.mutations


def test_an_endpoint_may_invoke_the_alias_by_its_name() -> None:
    world = World(gateways=1, pair=True, addresses=["orders:blue", "https://blue/"])

    assert ended(world).state == RotationState.COMPLETED


def test_a_variable_that_is_not_released_yet_stops_it() -> None:
    world = World(gateways=1, pair=True)
    world.latest["TABLE"] = "customers"

    progress = ended(world)

    assert progress.state == RotationState.FAILED
    assert "variables (TABLE)" in progress.problem
    assert "customers" not in progress.problem


def test_an_idle_alias_with_a_url_of_another_kind_has_everything_taken_back() -> None:
    world = World(gateways=1, pair=True)
    world.urls["green"] = replace(world.urls["blue"], url="https://green/", invoke_mode="BUFFERED")
    world.permitted["green"] = 2

    progress = ended(world)

    assert progress.state == RotationState.ROLLED_BACK
    assert "BUFFERED" in progress.problem
    assert world.latest == {**model.OTHERS, "KEY": "old"}


@pytest.mark.parametrize(
    ("address", "alias", "there"),
    [
        (BLUE, "green", GREEN),
        (BLUE.rstrip("/"), "green", GREEN),
        (f"{BLUE}orders?year=2026", "green", f"{GREEN}orders?year=2026"),
        (f"{GREEN}orders", "green", f"{GREEN}orders"),
        (f"{BLUE}{{proxy}}", "green", f"{GREEN}{{proxy}}"),
        ("https://export.example.com/", "green", None),
        (BLUE.replace(".aws/", ".aws.example.com/"), "green", None),
    ],
)
def test_an_address_leads_to_the_same_place_at_the_other_alias(
    address: str, alias: str, there: str | None
) -> None:
    assert moved(address, URLS, alias) == there


@pytest.mark.parametrize(
    ("address", "alias", "there"),
    [
        (f"{BLUE}orders", "green", f"{GREEN}orders"),
        ("orders-export:blue", "green", "orders-export:green"),
        ("arn:aws:lambda:eu-central-1:123456789012:function:orders:green", "blue",
         "arn:aws:lambda:eu-central-1:123456789012:function:orders:blue"),
        ("orders-export", "green", ""),
        (f"{BLUE}orders", "", ""),
        (f"{BLUE}orders", "red", ""),
        ("https://export.example.com/", "green", ""),
    ],
)  # fmt: skip
def test_a_value_belongs_to_an_alias(address: str, alias: str, there: str) -> None:
    function = SecretFunction(aliases=["blue", "green"], urls=URLS)

    assert function.place(address, alias) == there


def test_before_the_first_rotation_nobody_is_led_elsewhere() -> None:
    assert not SecretFunction(aliases=["blue", "green"]).place(BLUE, "green")
    assert not SecretFunction(urls=URLS).place(BLUE, "green")
