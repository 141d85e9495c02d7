"""A worker of a portal, as `manage.py worker` runs it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.functional.conftest import ROOT

Worker = subprocess.Popen[bytes]


def start(environment: Mapping[str, str], log: Path, *, scheduler: bool = True) -> Worker:
    """What it prints is added to `log`."""
    words = ["worker", "--concurrency", "1", *(["--with-scheduler"] if scheduler else [])]
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "manage.py", *words],
            cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip


def kill(worker: Worker) -> None:
    """SIGKILL, for those that it has forked too, also where it is dead itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


@contextlib.contextmanager
def working(environment: Mapping[str, str], log: Path) -> Iterator[Worker]:
    """While this lasts."""
    worker = start(environment, log)
    try:
        yield worker
    finally:
        kill(worker)
