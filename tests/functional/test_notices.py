"""Notices by real workers, which are killed in the middle, and whose messages are lost."""

import os
import secrets
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.functional import workers
from tests.functional.conftest import ROOT, until
from tests.notices.receivers import Receiver

# Told, with no message that rings for it.
PREPARE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import django
django.setup()
from django.core.management import call_command
from streams.models import Channel, Notice, NoticeEvent
call_command("migrate", verbosity=0)
Channel.objects.create(name="hook", kind="webhook", address=sys.argv[1])
Notice.objects.tell(NoticeEvent.ROTATION_STUCK, key="x", summary="It needs help.", data={})
"""


@dataclass
class Crew:
    """Workers of one portal, each with a scheduler."""

    folder: Path
    environment: dict[str, str]
    process: workers.Worker | None = None

    def work(self) -> None:
        self.process = workers.start(self.environment, self.folder / "log")

    def kill(self) -> None:
        """SIGKILL for the worker and all its processes, and every message that it had not read."""
        if self.process is not None:
            workers.kill(self.process)
            self.process = None
        for message in (self.folder / "broker").iterdir():
            message.unlink()

    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "db.sqlite3", timeout=20, isolation_level=None)

    def row(self, columns: str) -> tuple[object, ...]:
        with closing(self.database()) as database:
            found: tuple[object, ...] = database.execute(
                f"select {columns} from streams_notice"
            ).fetchone()
        return found

    def expire(self) -> None:
        """As five minutes later."""
        with closing(self.database()) as database:
            database.execute("update streams_notice set lease_until = '2026-01-01 00:00:00'")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def crew(tmp_path: Path, receiver: Receiver) -> Iterator[Crew]:
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("SPILLWAY_", "DJANGO_"))},
        "SPILLWAY_STATE_DIR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "SPILLWAY_SECRET_KEY": secrets.token_urlsafe(40),
        "SPILLWAY_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "SPILLWAY_PRIVATE_ORIGINS": "127.0.0.0/8",
        "SPILLWAY_TICK": "1",
    }
    subprocess.run(
        [sys.executable, "-c", PREPARE, receiver.url],
        cwd=ROOT, env=environment, check=True, timeout=60,
    )  # fmt: skip
    made = Crew(tmp_path, environment)
    yield made
    made.kill()


@pytest.mark.slow
def test_a_worker_killed_while_it_sends_is_followed_by_one_that_sends_the_same(
    crew: Crew, receiver: Receiver
) -> None:
    answer = threading.Event()
    receiver.before = lambda: answer.wait(60)
    crew.work()
    assert until(lambda: receiver.posts, 40), (crew.folder / "log").read_text()
    crew.kill()
    answer.set()
    assert crew.row("sent_at, attempts") == (None, 1)

    crew.expire()
    crew.work()

    assert until(lambda: crew.row("sent_at")[0], 40), (crew.folder / "log").read_text()
    first, second = receiver.posts
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert crew.row("attempts, problem, given_up_at") == (2, "", None)
