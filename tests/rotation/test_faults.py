"""Each call that changes something in AWS goes wrong in each way: the rotation converges.

A proxy between boto3 and the stand-in for AWS has it go wrong, and writes down every call.
"""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.client import Sandbox
from tests.functional.test_rotation import answer_of
from tests.rotation.proxy import Fault
from tests.rotation.rotating import Kind, World, assert_in_order, assert_whole, migrated, stand_in

# Each call that changes something: its name, the how manieth it is, and whether the function is
# behind an alias, with gateways that take the value from stage variables.
CALLS = [
    ("lambda:UpdateFunctionConfiguration", 1, Kind.PLAIN),
    ("lambda:UpdateFunctionConfiguration", 2, Kind.PLAIN),
    ("apigateway:UpdateIntegration", 1, Kind.PLAIN),
    ("apigateway:CreateDeployment", 1, Kind.PLAIN),
    ("apigatewayv2:UpdateIntegration", 1, Kind.PLAIN),
    ("apigatewayv2:CreateDeployment", 1, Kind.PLAIN),
    ("lambda:PublishVersion", 1, Kind.RELEASED),
    ("lambda:PublishVersion", 2, Kind.RELEASED),
    ("lambda:UpdateAlias", 1, Kind.RELEASED),
    ("lambda:UpdateAlias", 2, Kind.RELEASED),
    ("apigateway:UpdateStage", 1, Kind.RELEASED),
    ("apigatewayv2:UpdateStage", 1, Kind.RELEASED),
    ("lambda:CreateFunctionUrlConfig", 1, Kind.PAIRED),
    ("lambda:AddPermission", 2, Kind.PAIRED),
    ("apigateway:UpdateIntegration", 1, Kind.PAIRED),
    ("lambda:UpdateAlias", 2, Kind.PAIRED),
]
Case = tuple[str, int, Kind, Fault]
KILLS = {Fault.KILLED_BEFORE, Fault.KILLED_AFTER}


@pytest.fixture(scope="module")
def aws() -> Iterator[Sandbox]:
    with stand_in() as running:
        yield running


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, aws: Sandbox) -> dict[str, str]:
    return migrated(tmp_path_factory.mktemp("migrated"), aws)


def changed(world: World) -> tuple[list[str], int]:
    """The calls that changed something, and how many versions the function has.

    To publish again what is published changes nothing: AWS answers with the version there is.
    """
    calls = [call.name for call in world.proxy.changes() if call.operation != "PublishVersion"]
    functions = world.aws.client("lambda")
    versions = functions.list_versions_by_function(FunctionName=world.name)["Versions"]
    return calls, len(versions)


def assert_denied_for_ever(world: World) -> None:
    """It needs help, as often as it is resumed, and nothing more is changed in AWS."""
    before = changed(world)
    assert world.rotate("--resume") == 1
    assert "AWS does not allow it" in world.printed
    assert changed(world) == before
    for url in (world.rest.url, world.http.url):
        assert answer_of(url)[0] == 200
    world.proxy.allow()


def disturbed(world: World, name: str, nth: int, fault: Fault) -> None:
    """Drives a rotation of which one call goes wrong to its end, as often as it takes."""
    world.proxy.fail(name, fault, nth=nth)
    if world.rotate(apply=True) != 0:
        if fault is Fault.DENIED:
            assert_denied_for_ever(world)
        world.rotate("--resume")

    assert set(world.proxy.injected) == {(name, fault)}, "it was not injected"
    wanted = [-9, 0] if fault in KILLS else [1, 1, 0] if fault is Fault.DENIED else [0]
    assert world.statuses == wanted, world.printed
    assert_whole(world)
    assert_in_order(world)


@pytest.fixture
def worlds(aws: Sandbox, environment: dict[str, str], tmp_path: Path) -> Iterator["Worlds"]:
    made = Worlds(aws, environment, tmp_path)
    yield made
    made.close()


class Worlds:
    """Several at once: most of a rotation is waiting."""

    def __init__(self, aws: Sandbox, environment: dict[str, str], folder: Path) -> None:
        self.aws, self.environment, self.folder = aws, environment, folder
        self.made: list[World] = []

    def make(self, kind: Kind = Kind.PLAIN) -> World:
        folder = self.folder / secrets.token_hex(4)
        folder.mkdir()
        world = World(self.aws, self.environment, folder, kind=kind)
        self.made.append(world)
        return world

    def go_wrong(self, cases: list[Case]) -> None:
        """One rotation for each case; raises an `ExceptionGroup` of those that did not end well."""
        with ThreadPoolExecutor(8) as pool:
            ends = {case: pool.submit(self._go_wrong, *case) for case in cases}
        problems = []
        for case, end in ends.items():
            if isinstance(problem := end.exception(), Exception):
                problem.add_note(str(case))
                problems.append(problem)
        if problems:
            raise ExceptionGroup("Some did not end well", problems)

    def _go_wrong(self, name: str, nth: int, kind: Kind, fault: Fault) -> None:
        disturbed(self.make(kind), name, nth, fault)

    def close(self) -> None:
        for world in self.made:
            world.proxy.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Kind.RELEASED, Kind.PAIRED])
def test_a_rotation_that_nothing_disturbs(worlds: Worlds, kind: Kind) -> None:
    world = worlds.make(kind)

    assert world.rotate(apply=True) == 0, world.printed

    assert_whole(world)
    assert_in_order(world)


@pytest.mark.timeout(300)
def test_some_calls_that_go_wrong(worlds: Worlds) -> None:
    worlds.go_wrong(
        [
            ("lambda:UpdateFunctionConfiguration", 1, Kind.PLAIN, Fault.REPLY_LOST),
            ("apigatewayv2:CreateDeployment", 1, Kind.PLAIN, Fault.KILLED_BEFORE),
            ("lambda:UpdateAlias", 2, Kind.RELEASED, Fault.KILLED_AFTER),
        ]
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", Fault)
def test_every_call_that_changes_something_goes_wrong(worlds: Worlds, fault: Fault) -> None:
    worlds.go_wrong([(*call, fault) for call in CALLS])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_call_that_is_never_answered_is_given_up(worlds: Worlds) -> None:
    world = worlds.make()
    # More than the time-out of the client that changes things.
    world.proxy.hang = 60

    disturbed(world, "apigateway:UpdateIntegration", 1, Fault.HANG)
