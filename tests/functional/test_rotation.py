"""Rotations while everything runs: web server, workers, schedulers, gateways, and clients."""

import contextlib
import random
import secrets
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

import sandbox
from sandbox.client import Gateway, Sandbox
from tests.functional import workers
from tests.functional.conftest import ROOT, Portal, running, until
from tests.functional.origin import Origin
from tests.functional.workers import Worker

HANDLER = ROOT / "functions" / "python"
HEADER = "x-secret-header"
DATA = b"order,amount\n" + b"1,2\n" * 20_000

REGISTRY = """
version: 1
secrets:
  - name: orders
    value_from_env: ORDERS
    function: {{name: orders-export, region: {region}{function}}}
    gateways:
      - {{type: rest, region: {region}, api_id: "{rest.api_id}", resource_id: "{rest.resource_id}", method: GET, stage: prod, url: "{rest.url}"}}
      - {{type: http, region: {region}, api_id: "{http.api_id}", integration_id: "{http.integration_id}", stage: $default, url: "{http.url}"}}
endpoints:
  - {{slug: orders, title: Orders, kind: function-url, url: "{url}", auth: secret-header, secret: orders, groups: "*"}}
"""  # noqa: E501


# A handler that accepts one value, behind a portal that holds what it refuses.
HELD = """
version: 1
secrets:
  - name: orders
    value_from_env: ORDERS
    function: {{name: orders-export, region: {region}, accepts: one}}
endpoints:
  - {{slug: orders, title: Orders, kind: function-url, url: "{url}", auth: secret-header, secret: orders, groups: "*"}}
"""  # noqa: E501


@dataclass
class Stage:
    """All that takes part."""

    aws: Sandbox
    url: str
    gateways: list[Gateway]
    portal: Portal
    workers: dict[int, Worker] = field(default_factory=dict)

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT, env=self.portal.environment, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def work(self, number: int) -> None:
        """Starts a worker with a scheduler of its own."""
        log = self.portal.folder / f"worker{number}"
        self.workers[number] = workers.start(self.portal.environment, log)

    def kill(self, number: int) -> None:
        """SIGKILL for a worker and all its processes."""
        workers.kill(self.workers.pop(number))

    def row(self, query: str) -> tuple[object, ...]:
        path = self.portal.folder / "db.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as database:
            found: tuple[object, ...] = database.execute(query).fetchone()
        return found

    def step(self) -> tuple[object, ...]:
        return self.row("select id, state, step from streams_rotation order by id desc limit 1")

    def variables(self) -> dict[str, str]:
        functions = self.aws.client("lambda")
        answer = functions.get_function_configuration(FunctionName="orders-export")
        found: dict[str, str] = answer["Environment"]["Variables"]
        return found


def answer_of(url: str, **fields: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers=fields)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read()


def with_two_aliases(aws: Sandbox) -> str:
    """The URL of the one that everybody calls. The other one has none yet."""
    functions = aws.client("lambda")
    version = functions.publish_version(FunctionName="orders-export")["Version"]
    for name in ("blue", "green"):
        functions.create_alias(FunctionName="orders-export", Name=name, FunctionVersion=version)
    aws.open_to_everyone("orders-export", qualifier="blue")
    return aws.function_url("orders-export", qualifier="blue")


@contextlib.contextmanager
def stage(
    folder: Path,
    origin: Origin,
    registry: str = REGISTRY,
    *,
    pair: bool = False,
    **settings: str,
) -> Iterator[Stage]:
    knobs = sandbox.Settings(propagation_seconds=1, strict_mappings=True, strict_updates=True)
    value = secrets.token_urlsafe(32)
    with sandbox.running(knobs) as aws, contextlib.ExitStack() as stack:
        aws.put_object("exports", "orders.csv", DATA)
        environment = {
            "EXPORT_BUCKET": "exports", "EXPORT_KEY": "orders.csv", "SECRET_HEADER": value,
        }  # fmt: skip
        url = aws.deploy_function("orders-export", HANDLER, "app.handler", environment)
        function = ""
        if pair:
            url, function = with_two_aliases(aws), ", accepts: one, aliases: [blue, green]"
        rest = aws.rest_api("rest", url, HEADER, value)
        http = aws.http_api("http", url, HEADER, value)
        text = registry.format(region=aws.region, rest=rest, http=http, url=url, function=function)
        waits = {
            "SPILLWAY_ROTATION_SETTLE": "1.5",
            "SPILLWAY_ROTATION_PROPAGATION": "1.5",
            "SPILLWAY_ROTATION_DRAIN": "2",
            "SPILLWAY_ROTATION_LEASE": "5",
            "SPILLWAY_TICK": "1",
            "SPILLWAY_HEAD_TIMEOUT": "30",
            "SPILLWAY_IDLE_TIMEOUT": "30",
        }
        settings = {"ORDERS": value, **aws.environment(), **waits, **settings}
        portal = stack.enter_context(
            running(folder, origin, registry_text=text, workers=2, **settings)
        )
        made = Stage(aws, url, [rest, http], portal)
        try:
            yield made
        finally:
            for number in list(made.workers):
                made.kill(number)


@dataclass
class Load:
    """Clients that ask without a pause, and what they were not given."""

    asked: int = 0
    wrong: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def ask(self, name: str, get: Callable[[], tuple[int, bytes]]) -> None:
        while not self.over.is_set():
            status, body = get()
            self.asked += 1
            if (status, body) != (200, DATA):
                self.wrong.append(f"{time.strftime('%H:%M:%S')} {name}: {status} {body[:200]!r}")


@contextlib.contextmanager
def load(stage: Stage, *names: str) -> Iterator[Load]:
    """Of these clients, or of all of them."""
    made = Load()
    portal = f"http://127.0.0.1:{stage.portal.port}/exports/orders/download"
    clients = {
        "portal": partial(answer_of, portal, Authorization=f"Bearer {stage.portal.token}"),
        "rest": partial(answer_of, stage.gateways[0].url),
        "http": partial(answer_of, stage.gateways[1].url),
    }
    threads = [
        threading.Thread(target=made.ask, args=client)
        for client in clients.items()
        if not names or client[0] in names
    ]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.over.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_rotations_under_load_with_a_worker_killed_in_each_refuse_nothing(
    tmp_path: Path, origin: Origin
) -> None:
    dice = random.Random(20261124)
    values: set[str] = set()
    with stage(tmp_path, origin) as made, load(made) as clients:
        for number in (1, 2):
            made.work(number)
        for number in range(10):
            old = made.variables()["SECRET_HEADER"]
            made.manage("rotate", "orders")
            time.sleep(dice.uniform(0, 12))
            victim = dice.choice([1, 2])
            made.kill(victim)
            made.work(victim)
            assert until(lambda: made.step()[1] == "completed", 90), (number, made.step())
            variables = made.variables()
            assert variables["SECRET_HEADER"] != old
            assert "SECRET_HEADER_NEXT" not in variables
            assert answer_of(made.url, **{HEADER: old})[0] == 403
            values |= {old, variables["SECRET_HEADER"]}

    assert clients.wrong == []
    assert clients.asked > 500
    assert len(values) == 11
    assert_in_no_file(tmp_path, values)


def assert_in_no_file(folder: Path, values: set[str]) -> None:
    """Neither logs, nor the database, nor a message of the broker has a value in plain text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"db.sqlite3", "worker1", "worker2"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        assert not [value for value in values if value.encode() in content], path


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_aliases_take_turns_under_load_and_refuse_nothing(
    tmp_path: Path, origin: Origin
) -> None:
    with stage(tmp_path, origin, pair=True) as made, load(made) as clients:
        functions = made.aws.client("lambda")
        made.work(1)
        for number in range(3):
            old = made.variables()["SECRET_HEADER"]
            made.manage("rotate", "orders")
            time.sleep(2 * number)
            made.kill(1)
            made.work(1)
            assert until(lambda: made.step()[1] == "completed", 90), (number, made.step())
            new = made.variables()["SECRET_HEADER"]
            assert new != old
            for alias in ("blue", "green"):
                where = {"FunctionName": "orders-export", "Qualifier": alias}
                url = functions.get_function_url_config(**where)["FunctionUrl"]
                assert answer_of(url, **{HEADER: old})[0] == 403
                assert answer_of(url, **{HEADER: new})[0] == 200

    assert clients.wrong == []
    assert clients.asked > 150


@pytest.mark.slow
def test_a_handler_that_accepts_one_value_is_rotated_while_the_portal_holds(
    tmp_path: Path, origin: Origin
) -> None:
    with stage(tmp_path, origin, HELD) as made, load(made, "portal") as clients:
        made.work(1)
        old = made.variables()["SECRET_HEADER"]
        assert until(lambda: clients.asked > 2, 30)
        made.manage("rotate", "orders")

        assert until(lambda: made.step()[1] == "completed", 90), made.step()
        assert made.row("select mode from streams_rotation") == ("hold",)
        assert made.variables()["SECRET_HEADER"] != old
        assert answer_of(made.url, **{HEADER: old})[0] == 403
        done = clients.asked
        assert until(lambda: clients.asked > done + 2, 30)

    assert clients.wrong == []
