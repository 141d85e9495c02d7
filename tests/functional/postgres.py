"""A PostgreSQL of a test's own: a cluster on loopback, which can be stopped and started again."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.brokers import answers, free_port
from tests.functional.conftest import until

# Debian keeps the server's programs out of PATH, each version in a folder of its own.
PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/bin"))
# It refuses to run as root; Debian's package brings this user.
USER = "postgres" if os.geteuid() == 0 else None


class Postgres:
    """`url` is of a superuser, who may make databases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self._server: subprocess.Popen[bytes] | None = None

    def program(self, name: str, *words: str) -> str:
        """Runs one of PostgreSQL's programs; what it prints."""
        done = subprocess.run(
            [PROGRAMS / name, *words],
            cwd=self.folder, user=USER, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self) -> None:
        self.program(
            "initdb", "--pgdata", f"{self.folder}/data", "--username", "postgres",
            "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync",
        )  # fmt: skip

    def start(self) -> None:
        words = [str(PROGRAMS / "postgres"), "-D", f"{self.folder}/data", "-p", str(self.port)]
        for setting in ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"):
            words += ["-c", setting]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                words, cwd=self.folder, user=USER, stdout=log, stderr=log
            )
        assert until(lambda: answers(self.port), 30), (self.folder / "log").read_text()

    def stop(self) -> None:
        """At once for its clients: their connections end in the middle of what they do."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(30)
            self._server = None


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """Skips the test where it is not installed."""
    if not (PROGRAMS / "initdb").exists():
        pytest.skip("needs the program postgres")
    # Not below pytest's own folder, which another user cannot enter.
    folder = Path(tempfile.mkdtemp(prefix="spillway-postgres-"))
    try:
        if USER:
            shutil.chown(folder, USER)
        made = Postgres(folder)
        made.create()
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder)
