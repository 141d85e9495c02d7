"""A message is only a doorbell: whatever becomes of messages, a rotation goes on."""

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.client import Sandbox
from tests.functional import workers
from tests.functional.brokers import Broker, broker, free_port
from tests.functional.conftest import ROOT, until
from tests.rotation.rotating import World, assert_in_order, assert_whole, migrated, stand_in

WAITS = {
    "SPILLWAY_ROTATION_SETTLE": "1.5",
    "SPILLWAY_ROTATION_PROPAGATION": "1",
    "SPILLWAY_ROTATION_DRAIN": "3",
    "SPILLWAY_ROTATION_LEASE": "5",
    "SPILLWAY_TICK": "1",
}


@pytest.fixture(scope="module")
def aws() -> Iterator[Sandbox]:
    with stand_in() as running:
        yield running


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, aws: Sandbox) -> dict[str, str]:
    return migrated(tmp_path_factory.mktemp("migrated"), aws) | WAITS


class Portal:
    """A world that real workers rotate."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        self.workers: list[workers.Worker] = []
        self.world.describe()
        self.manage("apply", str(world.registry))

    def manage(self, *words: str) -> float:
        """The seconds that it took."""
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT, env=self.world.environment, capture_output=True, text=True, timeout=100,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.world.also_printed(done.stdout + done.stderr)
        return time.monotonic() - began

    def work(self, *, scheduler: bool = True) -> workers.Worker:
        worker = workers.start(self.world.environment, self.log, scheduler=scheduler)
        self.workers.append(worker)
        return worker

    def kill_workers(self) -> None:
        for worker in self.workers:
            workers.kill(worker)
        self.workers.clear()

    @property
    def log(self) -> Path:
        return self.folder / "workers.log"

    def row(self, query: str) -> tuple[object, ...]:
        path = self.world.folder / "db.sqlite3"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as database:
            found: tuple[object, ...] = database.execute(query).fetchone()
        return found

    def step(self) -> tuple[object, ...]:
        return self.row("select step, state, problem, waiting from streams_rotation")

    def reach(self, *steps: str) -> None:
        assert until(lambda: self.step()[0] in steps, 100), (self.step(), self.log.read_text())

    def completes(self) -> None:
        """The rotation is over, and everything is as it should be."""
        over = until(lambda: self.step()[1] == "completed", 90)
        assert over, (self.step(), self.log.read_text()[-6000:])
        self.world.also_printed(self.log.read_text())
        assert_whole(self.world)
        assert_in_order(self.world)


Start = Callable[..., Portal]


@pytest.fixture
def start(aws: Sandbox, environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    made: list[Portal] = []

    def start(**settings: str) -> Portal:
        folder = tmp_path / "portal"
        folder.mkdir()
        portal = Portal(World(aws, {**environment, **settings}, folder), tmp_path)
        made.append(portal)
        return portal

    yield start
    for portal in made:
        portal.kill_workers()
        portal.world.proxy.close()


@pytest.fixture
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    made = broker(request.param, tmp_path / "broker")
    yield made
    made.kill()


servers = pytest.mark.parametrize("running", ["redis", "rabbitmq", "sqs"], indirect=True)


def wipe(portal: Portal) -> None:
    """Every message of the embedded broker is gone."""
    for path in (portal.world.folder / "broker").iterdir():
        path.unlink(missing_ok=True)


@pytest.mark.slow
def test_a_wiped_broker_and_killed_workers_lose_nothing(start: Start) -> None:
    portal = start()
    portal.work()
    portal.manage("rotate", "orders")
    portal.reach("switch gateway 1", "switch gateway 2")

    portal.kill_workers()
    wipe(portal)
    portal.work()

    portal.completes()


@pytest.mark.slow
@pytest.mark.parametrize("step", ["admit", "drain"])
def test_a_broker_wiped_under_its_workers_loses_nothing(start: Start, step: str) -> None:
    portal = start()
    portal.work()
    portal.work(scheduler=False)
    portal.manage("rotate", "orders")
    portal.reach(step)

    wipe(portal)

    portal.completes()


@pytest.mark.slow
def test_a_broker_whose_folder_is_gone_loses_nothing(start: Start) -> None:
    portal = start()
    portal.work()
    portal.manage("rotate", "orders")
    portal.reach("drain")

    shutil.rmtree(portal.world.folder / "broker")

    portal.completes()


def children_of(pid: int) -> list[int]:
    """Of each of its threads."""
    texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(number) for text in texts for number in text.split()]


@pytest.mark.slow
def test_a_scheduler_that_was_killed_is_started_anew(start: Start) -> None:
    portal = start()
    worker = portal.work()
    portal.manage("rotate", "orders")
    portal.reach("switch gateway 1", "switch gateway 2")
    before = children_of(worker.pid)
    assert len(before) == 2, "a scheduler and a process that works"

    for child in before:
        os.kill(child, signal.SIGKILL)
    wipe(portal)

    portal.completes()
    assert worker.poll() is None
    assert "scheduler_ended" in portal.log.read_text()
    assert until(lambda: len(children_of(worker.pid)) == 2, 20)
    worker.terminate()
    assert worker.wait(30) == 0


@pytest.mark.slow
def test_two_schedulers_and_four_workers_do_each_step_once(start: Start) -> None:
    portal = start()
    for scheduler in (True, True, False, False):
        portal.work(scheduler=scheduler)

    portal.manage("rotate", "orders")

    portal.completes()
    changes = [call.name for call in portal.world.proxy.changes()]
    assert sorted(changes) == [
        "apigateway:CreateDeployment",
        "apigateway:UpdateIntegration",
        "apigatewayv2:CreateDeployment",
        "apigatewayv2:UpdateIntegration",
        "lambda:UpdateFunctionConfiguration",
        "lambda:UpdateFunctionConfiguration",
    ]
    told, different = portal.row(
        "select count(*), count(distinct step || text) from streams_rotationevent"
    )
    assert told == different


@pytest.mark.slow
@pytest.mark.timeout(300)
@servers
def test_a_broker_that_is_killed_and_comes_back_empty_loses_nothing(
    start: Start, running: Broker
) -> None:
    portal = start(**running.settings)
    portal.work()
    portal.work()
    portal.manage("rotate", "orders")
    portal.reach("switch gateway 1", "switch gateway 2")

    running.kill()
    time.sleep(5)
    running.start()

    portal.completes()


@pytest.mark.slow
@pytest.mark.timeout(300)
@servers
def test_a_worker_waits_for_its_broker(start: Start, running: Broker) -> None:
    running.kill()
    portal = start(**running.settings)
    worker = portal.work()
    portal.manage("rotate", "orders")
    time.sleep(20)
    assert worker.poll() is None

    running.start()

    portal.completes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "address",
    [
        {"CELERY_BROKER_URL": "redis://127.0.0.1:{}/0"},
        {"CELERY_BROKER_URL": "amqp://127.0.0.1:{}//"},
        {"CELERY_BROKER_URL": "sqs://", "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:{}"},
    ],
    ids=["redis", "rabbitmq", "sqs"],
)
@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "is silent"])
def test_a_rotation_is_stored_although_no_broker_can_be_reached(
    start: Start, address: dict[str, str], silent: bool
) -> None:
    with contextlib.ExitStack() as stack:
        port = free_port()
        if silent:
            stack.enter_context(socket.create_server(("127.0.0.1", port), backlog=20))
        portal = start(**{name: value.format(port) for name, value in address.items()})

        took = portal.manage("rotate", "orders")

        # Django's start is among them.
        assert took < 30
        assert portal.step()[:2] == ("preflight", "running")
        assert "doorbell_not_rung" in portal.world.printed
        assert str(port) not in portal.world.printed
