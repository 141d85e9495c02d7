"""Each call that changes something in AWS goes wrong in each way: the rotation converges.

A proxy between boto3 and the stand-in for AWS has it go wrong, and writes down every call.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

import sandbox
from sandbox.client import Gateway, Sandbox
from tests.functional.test_rotation import answer_of
from tests.rotation.proxy import Call, Fault, Proxy

ROOT = Path(__file__).resolve().parents[2]
HANDLER = ROOT / "functions" / "python"
HEADER = "x-secret-header"
OTHERS = {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "orders.csv", "LOG_LEVEL": "info"}
TENANT = {"tenant": "blue"}
REGISTRY = """
version: 1
secrets:
  - name: orders
    value_from_env: ORDERS
    function: {{name: {name}, region: {region}{alias}}}
    gateways:
      - {{type: rest, region: eu-west-1, api_id: "{rest.api_id}", resource_id: "{rest.resource_id}", method: GET, stage: prod, url: "{rest.url}"}}
      - {{type: http, region: eu-west-2, api_id: "{http.api_id}", integration_id: "{http.integration_id}", stage: $default, url: "{http.url}"}}
"""  # noqa: E501

# Django takes longer to start than most of what it does then.
DRIVE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import django
django.setup()
from django.core.management import call_command
registry, *words = sys.argv[1:]
if registry:
    call_command("apply", registry)
call_command("rotate", "orders", "--wait", *words)
"""

# Each call that changes something: its name, the how manieth it is, and whether the function is
# behind an alias, with gateways that take the value from stage variables.
CALLS = [
    ("lambda:UpdateFunctionConfiguration", 1, False),
    ("lambda:UpdateFunctionConfiguration", 2, False),
    ("apigateway:UpdateIntegration", 1, False),
    ("apigateway:CreateDeployment", 1, False),
    ("apigatewayv2:UpdateIntegration", 1, False),
    ("apigatewayv2:CreateDeployment", 1, False),
    ("lambda:UpdateFunctionConfiguration", 1, True),
    ("lambda:UpdateFunctionConfiguration", 2, True),
    ("lambda:PublishVersion", 1, True),
    ("lambda:PublishVersion", 2, True),
    ("lambda:UpdateAlias", 1, True),
    ("lambda:UpdateAlias", 2, True),
    ("apigateway:UpdateStage", 1, True),
    ("apigatewayv2:UpdateStage", 1, True),
]
Case = tuple[str, int, bool, Fault]
KILLS = {Fault.KILLED_BEFORE, Fault.KILLED_AFTER}


@pytest.fixture(scope="module")
def aws() -> Iterator[Sandbox]:
    settings = sandbox.Settings(
        propagation_seconds=0.2,
        cache_seconds=0.1,
        idle_seconds=5,
        strict_mappings=True,
        strict_updates=True,
    )
    with sandbox.running(settings) as running:
        running.put_object("exports", "orders.csv", b"a,b\n1,2\n" * 100)
        yield running


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, aws: Sandbox) -> dict[str, str]:
    """The settings of all portals here, and a migrated database to copy."""
    folder = tmp_path_factory.mktemp("migrated")
    made = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("SPILLWAY_", "DJANGO_"))},
        **aws.environment(),
        "SPILLWAY_SECRET_KEY": secrets.token_urlsafe(40),
        "SPILLWAY_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "SPILLWAY_PRIVATE_ORIGINS": "127.0.0.0/8",
        "SPILLWAY_ROTATION_SETTLE": "0.4",
        "SPILLWAY_ROTATION_PROPAGATION": "0.4",
        "SPILLWAY_ROTATION_DRAIN": "0.4",
        "SPILLWAY_ROTATION_LEASE": "2",
        **_placed(folder),
    }
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=made, check=True, timeout=60)
    return made


def _placed(folder: Path) -> dict[str, str]:
    return {
        "SPILLWAY_STATE_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
    }


class World:
    """A function with two gateways, a portal that rotates it, and the proxy between them.

    `released`: the function is behind an alias, and the gateways take the value from variables.
    """

    def __init__(
        self, aws: Sandbox, environment: dict[str, str], folder: Path, *, released: bool = False
    ) -> None:
        self.aws = aws
        self.folder = folder
        self.released = released
        self.old = secrets.token_urlsafe(32)
        self.name = f"orders-{secrets.token_hex(3)}"
        self.url = self._deployed_function()
        # Regions of their own: AWS takes one deployment in five seconds in each.
        self.rest = self._rest(replace(aws, region="eu-west-1"))
        self.http = self._http(replace(aws, region="eu-west-2"))
        self.process: subprocess.Popen[str] | None = None
        self.statuses: list[int] = []
        self.printed = ""
        self.proxy = Proxy(aws.url, self.kill)
        shutil.copy(Path(environment["SPILLWAY_STATE_DIR"]) / "db.sqlite3", folder / "db.sqlite3")
        self.environment = {
            **environment, **_placed(folder),
            "AWS_ENDPOINT_URL": self.proxy.url, "ORDERS": self.old,
        }  # fmt: skip

    def _deployed_function(self) -> str:
        environment = {**OTHERS, "SECRET_HEADER": self.old}
        url = self.aws.deploy_function(self.name, HANDLER, "app.handler", environment)
        if not self.released:
            return url
        functions = self.aws.client("lambda")
        functions.get_waiter("function_updated_v2").wait(FunctionName=self.name)
        version = functions.publish_version(FunctionName=self.name)["Version"]
        functions.create_alias(FunctionName=self.name, Name="live", FunctionVersion=version)
        self.aws.open_to_everyone(self.name, qualifier="live")
        return self.aws.function_url(self.name, qualifier="live")

    def _rest(self, aws: Sandbox) -> Gateway:
        made = aws.rest_api(f"rest-{self.name}", self.url, HEADER, self.old)
        apis = aws.client("apigateway")
        where = {"restApiId": made.api_id, "resourceId": made.resource_id, "httpMethod": "GET"}
        changes = {"/requestParameters/integration.request.header.x-tenant": "'blue'"}
        if self.released:
            changes[f"/requestParameters/integration.request.header.{HEADER}"] = (
                "stageVariables.secret"
            )
        apis.update_integration(**where, patchOperations=_replaced(changes))
        variables = {"/variables/secret": self.old, "/variables/tenant": "blue"}
        apis.update_stage(
            restApiId=made.api_id, stageName="prod", patchOperations=_replaced(variables)
        )
        apis.create_deployment(restApiId=made.api_id, stageName="prod")
        return made

    def _http(self, aws: Sandbox) -> Gateway:
        value = "$stageVariables.secret" if self.released else self.old
        made = aws.http_api(f"http-{self.name}", self.url, HEADER, value, auto_deploy=False)
        aws.client("apigatewayv2").update_stage(
            ApiId=made.api_id, StageName="$default", StageVariables={"secret": self.old, **TENANT}
        )
        return made

    def rotate(self, *words: str, apply: bool = False) -> int:
        """The exit status; -9 where the proxy had it killed."""
        registry = self.folder / "registry.yaml"
        if apply:
            alias = ", alias: live" if self.released else ""
            place = {"name": self.name, "region": self.aws.region, "alias": alias}
            registry.write_text(REGISTRY.format(rest=self.rest, http=self.http, **place))
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVE, str(registry) if apply else "", *words],
            cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        text, _ = self.process.communicate(timeout=100)
        self.printed += text
        self.statuses.append(self.process.returncode)
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL; returns when it runs no more."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while "zombie" not in Path(f"/proc/{self.process.pid}/status").read_text():
                pass

    def variables(self) -> dict[str, str]:
        where = {"Qualifier": "live"} if self.released else {}
        functions = self.aws.client("lambda")
        answer = functions.get_function_configuration(FunctionName=self.name, **where)
        found: dict[str, str] = answer["Environment"]["Variables"]
        return found

    def sent(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What each gateway maps, with its stage's variables."""
        apis = self.aws.client("apigateway", region_name="eu-west-1")
        rest = apis.get_integration(
            restApiId=self.rest.api_id, resourceId=self.rest.resource_id, httpMethod="GET"
        )["requestParameters"]
        rest |= apis.get_stage(restApiId=self.rest.api_id, stageName="prod")["variables"]
        apis = self.aws.client("apigatewayv2", region_name="eu-west-2")
        where = {"ApiId": self.http.api_id}
        integration = {"IntegrationId": self.http.integration_id}
        http = apis.get_integration(**where, **integration)["RequestParameters"]
        http |= apis.get_stage(**where, StageName="$default")["StageVariables"]
        return rest, http


def _replaced(changes: dict[str, str]) -> list[dict[str, str]]:
    return [{"op": "replace", "path": path, "value": value} for path, value in changes.items()]


def assert_whole(world: World) -> None:
    """The new value is wherever it should be and the old one nowhere; nothing else has changed."""
    new = world.variables()["SECRET_HEADER"]
    assert new != world.old
    assert world.variables() == {**OTHERS, "SECRET_HEADER": new}
    rest, http = world.sent()
    mapping = "integration.request.header"
    if world.released:
        variables = {"secret": new, **TENANT}
        assert rest == {
            f"{mapping}.{HEADER}": "stageVariables.secret",
            f"{mapping}.x-tenant": "'blue'",
            **variables,
        }
        assert http == {f"overwrite:header.{HEADER}": "$stageVariables.secret", **variables}
    else:
        unused = {"secret": world.old, **TENANT}
        assert rest == {
            f"{mapping}.{HEADER}": f"'{new}'", f"{mapping}.x-tenant": "'blue'", **unused
        }  # fmt: skip
        assert http == {f"overwrite:header.{HEADER}": new, **unused}
    for url in (world.rest.url, world.http.url):
        assert answer_of(url)[0] == 200
    assert answer_of(world.url, **{HEADER: world.old})[0] == 403
    assert answer_of(world.url, **{HEADER: new})[0] == 200
    assert_told_nowhere(world, [new, world.old])


def assert_told_nowhere(world: World, values: list[str]) -> None:
    """No value in what was printed, in an address, nor in a row or file of ours."""
    files = [path for path in world.folder.rglob("*") if path.is_file()]
    for value in values:
        assert value not in world.printed
        assert not [call.path for call in world.proxy.calls if value in call.path]
        for path in files:
            assert value.encode() not in path.read_bytes(), path.name


def told(call: Call, new: str) -> str:
    """What a call that changed something was for; asserts that its value is as it must be."""
    body = call.body.decode()
    if call.operation == "UpdateFunctionConfiguration":
        sent = json.loads(body)["Environment"]["Variables"]
        assert {name: sent.get(name) for name in OTHERS} == OTHERS
        return "both" if "SECRET_HEADER_NEXT" in sent else "new alone"
    if call.name == "apigateway:UpdateIntegration":
        assert f"\"'{new}'\"" in body
    elif call.operation in {"UpdateIntegration", "UpdateStage"}:
        assert f'"{new}"' in body
    else:
        assert new not in body
    return "release" if call.service == "lambda" else "sender"


def assert_in_order(world: World) -> None:
    """What reached AWS: the overlap first, then the senders, then the overlap's end."""
    new = world.variables()["SECRET_HEADER"]
    story = [kind for kind, _ in groupby(told(call, new) for call in world.proxy.changes())]
    wanted = ["both", "sender", "new alone"]
    if world.released:
        wanted = ["both", "release", "sender", "new alone", "release"]
    assert story == wanted


def assert_denied_for_ever(world: World) -> None:
    """It needs help, as often as it is resumed, and nothing more reaches AWS."""
    changes = len(world.proxy.changes())
    assert world.rotate("--resume") == 1
    assert "AWS does not allow it" in world.printed
    assert len(world.proxy.changes()) == changes
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

    def make(self, *, released: bool = False) -> World:
        folder = self.folder / secrets.token_hex(4)
        folder.mkdir()
        world = World(self.aws, self.environment, folder, released=released)
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

    def _go_wrong(self, name: str, nth: int, released: bool, fault: Fault) -> None:
        disturbed(self.make(released=released), name, nth, fault)

    def close(self) -> None:
        for world in self.made:
            world.proxy.close()


def test_a_rotation_that_nothing_disturbs(worlds: Worlds) -> None:
    world = worlds.make(released=True)

    assert world.rotate(apply=True) == 0, world.printed

    assert_whole(world)
    assert_in_order(world)


def test_some_calls_that_go_wrong(worlds: Worlds) -> None:
    worlds.go_wrong(
        [
            ("lambda:UpdateFunctionConfiguration", 1, False, Fault.REPLY_LOST),
            ("apigateway:CreateDeployment", 1, False, Fault.DENIED),
            ("apigatewayv2:CreateDeployment", 1, False, Fault.KILLED_BEFORE),
            ("lambda:UpdateAlias", 2, True, Fault.KILLED_AFTER),
            ("apigateway:UpdateStage", 1, True, Fault.PRECONDITION),
        ]
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", Fault)
def test_every_call_that_changes_something_goes_wrong(worlds: Worlds, fault: Fault) -> None:
    worlds.go_wrong([(*call, fault) for call in CALLS])


@pytest.mark.slow
def test_a_call_that_is_never_answered_is_given_up(worlds: Worlds) -> None:
    world = worlds.make()
    # More than the time-out of the client that changes things.
    world.proxy.hang = 60

    disturbed(world, "apigateway:UpdateIntegration", 1, Fault.HANG)
