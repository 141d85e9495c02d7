"""Each call that changes something in AWS goes wrong in each way: the rotation converges.

A proxy between boto3 and the stand-in for AWS has it go wrong, and writes down every call.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.client import Sandbox
from tests.functional.test_rotation import answer_of
from tests.rotation.proxy import LATER, Fault
from tests.rotation.rotating import (
    HEADER,
    Kind,
    World,
    assert_as_before,
    assert_in_order,
    assert_told_nowhere,
    assert_whole,
    migrated,
    stand_in,
)

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
    ("lambda:UpdateFunctionConfiguration", 1, Kind.PAIRED),
    ("lambda:PublishVersion", 1, Kind.PAIRED),
    ("lambda:UpdateAlias", 1, Kind.PAIRED),
    ("lambda:AddPermission", 1, Kind.PAIRED),
    ("apigatewayv2:UpdateIntegration", 1, Kind.PAIRED),
    ("secretsmanager:CreateSecret", 1, Kind.STORED),
    ("secretsmanager:PutSecretValue", 1, Kind.STORED),
    # The label that consumers read, and the one that waits for its turn.
    ("secretsmanager:UpdateSecretVersionStage", 1, Kind.STORED),
    ("secretsmanager:UpdateSecretVersionStage", 2, Kind.STORED),
    # Of a stage that deploys by itself.
    ("apigatewayv2:UpdateIntegration", 1, Kind.STORED),
    ("lambda:UpdateFunctionConfiguration", 1, Kind.GAPPED),
    ("apigateway:UpdateIntegration", 1, Kind.GAPPED),
    ("apigatewayv2:CreateDeployment", 1, Kind.GAPPED),
]
WORDS = {Kind.GAPPED: ["--accept-gap"]}
# Of the overlap, in an emergency; and what a roll-back and a repair change.
AT_ONCE = [
    ("lambda:UpdateFunctionConfiguration", 1),
    ("apigateway:UpdateIntegration", 1),
    ("apigatewayv2:CreateDeployment", 1),
    ("lambda:UpdateFunctionConfiguration", 2),
]
BACK = [
    ("lambda:UpdateFunctionConfiguration", 1),
    ("apigateway:UpdateIntegration", 1),
    ("apigateway:CreateDeployment", 1),
    ("apigatewayv2:UpdateIntegration", 1),
]
REPAIR = [
    ("lambda:UpdateFunctionConfiguration", 1),
    ("apigatewayv2:UpdateIntegration", 1),
    ("apigatewayv2:CreateDeployment", 1),
    ("lambda:UpdateFunctionConfiguration", 2),
]
# What Secrets Manager never answers.
NEVER = {
    ("secretsmanager:CreateSecret", Fault.PRECONDITION),
    ("secretsmanager:PutSecretValue", Fault.PRECONDITION),
}
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


def assert_denied_for_ever(world: World, *urls: str) -> None:
    """It needs help, as often as it is resumed, and nothing more is changed in AWS."""
    before = changed(world)
    assert world.rotate("--resume") == 1
    assert "AWS does not allow it" in world.printed
    assert changed(world) == before
    for url in urls:
        assert answer_of(url)[0] == 200
    world.proxy.allow()


def served(world: World, words: Sequence[str]) -> list[str]:
    """The gateways through which no request may be refused, however long it takes."""
    if world.kind is Kind.GAPPED:
        return []
    # Before a repair, only the one that agrees with its function was let through.
    return [world.http.url] if "--repair" in words else [world.rest.url, world.http.url]


def assert_came_later(world: World, name: str) -> None:
    """What was throttled was not called again before AWS wanted it."""
    times = [call.at for call in world.proxy.calls if call.name == name]
    refused = next(call.at for call in world.proxy.calls if call.name == name and not call.reached)
    assert min(at for at in times if at > refused) >= refused + LATER


def disturbed(world: World, name: str, nth: int, fault: Fault, *words: str) -> None:
    """Drives a rotation of which one call goes wrong to its end, as often as it takes."""
    world.proxy.fail(name, fault, nth=nth)
    if world.rotate(*WORDS.get(world.kind, []), *words, apply=True) != 0:
        if fault is Fault.DENIED:
            assert_denied_for_ever(world, *served(world, words))
        # `apply` makes secrets in Secrets Manager, too: where that was killed, nothing rotates yet.
        begun = world.state() != ""
        world.rotate(*(["--resume"] if begun else []), apply=not begun)

    assert_injected(world, name, fault)
    wanted = [-9, 0] if fault in KILLS else [1, 1, 0] if fault is Fault.DENIED else [0]
    assert world.statuses == wanted, world.printed
    if "--repair" in words:
        assert_as_before(world)
        return
    assert_whole(world)
    assert_in_order(world)


def assert_injected(world: World, name: str, fault: Fault) -> None:
    assert set(world.proxy.injected) == {(name, fault)}, "it was not injected"
    if fault is Fault.THROTTLED:
        assert_came_later(world, name)


def repaired(world: World, name: str, nth: int, fault: Fault) -> None:
    """The same of a repair, of what somebody else has changed."""
    alien = "alien-" + secrets.token_urlsafe(32)
    world.drift(alien)
    disturbed(world, name, nth, fault, "--repair")
    assert_told_nowhere(world, [alien])
    assert answer_of(world.url, **{HEADER: alien})[0] == 403


def taken_back(world: World, name: str, nth: int, fault: Fault) -> None:
    """The same of a roll-back, when all but the last gateway has been moved over."""
    world.proxy.fail("apigatewayv2:CreateDeployment", Fault.DENIED)
    assert world.rotate(apply=True) == 1, world.printed
    world.proxy.allow()
    world.proxy.injected.clear()
    world.proxy.calls.clear()
    world.proxy.fail(name, fault, nth=nth)

    if world.rotate("--rollback") != 0:
        world.proxy.allow()
        word = "--resume" if fault is Fault.DENIED else "--rollback"
        world.rotate(word)

    assert_injected(world, name, fault)
    assert world.state() == "rolled-back", world.printed
    assert_as_before(world)
    # The senders first, and the function last.
    changes = [call.service for call in world.proxy.changes()]
    assert changes[-1] == "lambda"
    assert "lambda" not in changes[: changes.index("apigateway")]


@dataclass(frozen=True)
class Case:
    """One call that goes wrong in one way; `drive` is what is done about it."""

    name: str
    nth: int
    kind: Kind
    fault: Fault
    drive: Callable[..., None] = disturbed
    words: tuple[str, ...] = ()

    def go(self, world: World) -> None:
        self.drive(world, self.name, self.nth, self.fault, *self.words)


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
            ends = {case: pool.submit(case.go, self.make(case.kind)) for case in cases}
        problems = []
        for case, end in ends.items():
            if isinstance(problem := end.exception(), Exception):
                problem.add_note(str(case))
                problems.append(problem)
        if problems:
            raise ExceptionGroup("Some did not end well", problems)

    def close(self) -> None:
        for world in self.made:
            world.proxy.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", Kind)
def test_a_rotation_that_nothing_disturbs(worlds: Worlds, kind: Kind) -> None:
    world = worlds.make(kind)

    assert world.rotate(*WORDS.get(kind, []), apply=True) == 0, world.printed

    assert_whole(world)
    assert_in_order(world)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_some_calls_that_go_wrong(worlds: Worlds) -> None:
    worlds.go_wrong(
        [
            Case("lambda:UpdateFunctionConfiguration", 1, Kind.PLAIN, Fault.REPLY_LOST),
            Case("apigatewayv2:CreateDeployment", 1, Kind.PLAIN, Fault.KILLED_BEFORE),
            Case("lambda:UpdateAlias", 2, Kind.RELEASED, Fault.KILLED_AFTER),
        ]
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", Fault)
def test_every_call_that_changes_something_goes_wrong(worlds: Worlds, fault: Fault) -> None:
    worlds.go_wrong([Case(*call, fault) for call in CALLS if (call[0], fault) not in NEVER])


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", Fault)
def test_it_does_in_an_emergency_on_the_way_back_and_in_a_repair(
    worlds: Worlds, fault: Fault
) -> None:
    worlds.go_wrong(
        [Case(*call, Kind.PLAIN, fault, disturbed, ("--emergency",)) for call in AT_ONCE]
        + [Case(*call, Kind.PLAIN, fault, taken_back) for call in BACK]
        + [Case(*call, Kind.PLAIN, fault, repaired) for call in REPAIR]
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_call_that_is_never_answered_is_given_up(worlds: Worlds) -> None:
    world = worlds.make()
    # More than the time-out of the client that changes things.
    world.proxy.hang = 60

    disturbed(world, "apigateway:UpdateIntegration", 1, Fault.HANG)
