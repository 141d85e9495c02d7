"""A portal on several machines: nginx, two replicas, PostgreSQL, Redis, two workers, AWS."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import psycopg.rows

from tests.functional import nginx, postgres
from tests.functional.brokers import Broker, answers, broker, free_port
from tests.functional.client import Answer, Exchange
from tests.functional.conftest import ROOT, until
from tests.functional.nginx import Nginx
from tests.functional.origin import Connection, Origin, Request, Script, head
from tests.functional.postgres import Postgres
from tests.functional.test_rotation import answer_of
from tests.rotation.rotating import World, environment, stand_in

SETTINGS = {
    "SPILLWAY_DRAIN_TIMEOUT": "60",
    "SPILLWAY_HEAD_TIMEOUT": "10",
    "SPILLWAY_IDLE_TIMEOUT": "10",
    "SPILLWAY_TICK": "1",
    # A rotation that lasts for as long as the test has things restarted.
    "SPILLWAY_ROTATION_SETTLE": "20",
    "SPILLWAY_ROTATION_PROPAGATION": "10",
    "SPILLWAY_ROTATION_DRAIN": "20",
    "SPILLWAY_ROTATION_LEASE": "5",
}
ENDPOINTS = """
endpoints:
  - {{slug: plain, title: Plain, kind: http, url: "{origin}", groups: "*"}}
  - {{slug: orders, title: Orders, kind: function-url, url: "{function}", auth: secret-header, secret: orders, groups: "*"}}
"""  # noqa: E501
PREPARE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("apply", sys.argv[1], stdout=sys.stderr)
call_command("create_user", "ann", "--password-env", "PASSWORD", stdout=sys.stderr)
call_command("create_token", "ann")
"""
PIECE = b"0123456789abcdef" * 256


class Process:
    """One of ours, on a machine of its own: nothing on its disk is another's."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *words: str) -> None:
        self.words = words
        self.log = folder / "log"
        (folder / "state").mkdir(parents=True)
        self.environment = {**environment, "SPILLWAY_STATE_DIR": str(folder / "state")}
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, "manage.py", *self.words],
                cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def terminate(self) -> int:
        """SIGTERM; its exit status when it has ended by itself."""
        assert self.running is not None
        self.running.terminate()
        return self.running.wait(90)

    def kill(self) -> None:
        """SIGKILL, its children too."""
        if self.running is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait()


class Replica(Process):
    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.port = free_port()
        super().__init__(folder, environment, "serve", "--bind", f"127.0.0.1:{self.port}")

    def start(self) -> None:
        super().start()
        assert until(self.is_ready, 60), self.log.read_text()

    def is_ready(self) -> bool:
        return answers(self.port) and self.status("/readyz") == 200

    def is_away(self) -> bool:
        return self.status("/readyz") == 503

    def status(self, path: str) -> int:
        with contextlib.closing(Exchange(self.port, path).sock) as sock:
            line = sock.recv(64).split(b" ")
        return int(line[1])


def steadily(seconds: float) -> Script:
    """A body of known size and content, evenly over so long."""

    def script(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {len(PIECE) * 40}", 'ETag: "v1"'))
        for _piece in range(40):
            connection.send(PIECE)
            time.sleep(seconds / 40)

    return script


@dataclass
class Composition:
    world: World
    origin: Origin
    database: Postgres
    redis: Broker
    nginx: Nginx
    replicas: list[Replica]
    workers: list[Process]
    token: str

    def manage(self, *words: str) -> None:
        subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT, env=self.world.environment, check=True, capture_output=True, timeout=60,
        )  # fmt: skip

    def ask(self, slug: str, query: str = "", port: int = 0) -> Exchange:
        """Through nginx, or of the replica at `port`."""
        target = f"/exports/{slug}/download{query}"
        fields = f"Authorization: Bearer {self.token}"
        return Exchange(port or self.nginx.port, target, fields, seconds=60)

    def row(self, query: str, *values: object) -> dict[str, Any]:
        with psycopg.connect(self.database.url, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(query.encode(), values).fetchone() or {}

    def record(self, answer: Answer, seconds: float = 10) -> dict[str, Any]:
        """The row of a download, once it has ended."""
        pk = answer.value("x-download-id")
        found: dict[str, Any] = {}

        def ended() -> bool:
            found.update(self.row("select * from streams_download where id = %s", pk))
            return found.get("state") not in {None, "running"}

        assert until(ended, seconds), found
        return found

    def rotation(self) -> tuple[str, str]:
        found = self.row("select step, state from streams_rotation")
        return found["step"], found["state"]


@dataclass
class Traffic:
    """Users who download one thing after another, and consumers at the gateways."""

    portal: Composition
    answers: list[Answer] = field(default_factory=list)
    # Of the gateways, and of the export whose secret is rotated.
    refused: list[object] = field(default_factory=list)
    asked: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator["Traffic"]:
        threads = [threading.Thread(target=self._download, args=(n,)) for n in range(6)]
        threads += [threading.Thread(target=self._consume)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in threads:
                thread.join(70)
        assert not [thread for thread in threads if thread.is_alive()]

    def _download(self, number: int) -> None:
        case = self.portal.origin.on(steadily(2 + number / 2))
        while not self._over.is_set():
            answer = self.portal.ask("plain", f"?case={case.name}").read()
            self.answers.append(answer)
            if answer.status == 503:
                self._over.wait(float(answer.value("retry-after") or 1))

    def _consume(self) -> None:
        world = self.portal.world
        while not self._over.wait(0.2):
            got = [answer_of(world.rest.url)[0], answer_of(world.http.url)[0]]
            self.asked += len(got)
            self.refused += [status for status in got if status != 200]
            mine = self.portal.ask("orders").read()
            # Without its database the portal refuses everybody, and says when to come again.
            self.refused += [mine.body] if mine.status not in {200, 503} else []


@contextlib.contextmanager
def composed(folder: Path, origin: Origin) -> Iterator[Composition]:
    """All of it, ready. Each part has a folder of its own."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgres.running())
        redis = broker("redis", folder / "redis")
        stack.callback(redis.kill)
        aws = stack.enter_context(stand_in())
        for name in ("none", "world", "nginx"):
            (folder / name).mkdir()
        # A world brings SQLite, which is not used here.
        (folder / "none/db.sqlite3").touch()
        world = World(aws, environment(folder / "none", aws), folder / "world")
        stack.callback(world.proxy.close)
        world.environment |= SETTINGS | {
            "DATABASE_URL": database.url,
            "CELERY_BROKER_URL": redis.url,
            "REDIS_URL": redis.url.replace("/0", "/1"),
        }
        world.describe()
        endpoints = ENDPOINTS.format(origin=origin.url, function=world.url)
        world.registry.write_text(world.registry.read_text() + endpoints)
        prepared = subprocess.run(
            [sys.executable, "-c", PREPARE, str(world.registry)],
            cwd=ROOT, env={**world.environment, "PASSWORD": "tests-only"},
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        assert prepared.returncode == 0, prepared.stderr
        replicas = [Replica(folder / f"web{n}", world.environment) for n in (1, 2)]
        work = ["worker", "--concurrency", "1"]
        workers = [Process(folder / f"worker{n}", world.environment, *work) for n in (1, 2)]
        # The scheduler works too; the two others make sure that it is not the only one.
        workers.append(Process(folder / "scheduler", world.environment, *work, "--with-scheduler"))
        for process in [*workers, *replicas]:
            stack.callback(process.kill)
            process.start()
        ports = [replica.port for replica in replicas]
        front = stack.enter_context(nginx.fronting(folder / "nginx", *ports))
        token = prepared.stdout.strip()
        yield Composition(world, origin, database, redis, front, replicas, workers, token)
