"""Processes that this run starts: each leads a session of its own, and none outlives the run."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
GRACE = 3.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
_PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec there is no time to look for libraries.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _end_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


@dataclass(frozen=True)
class Child:
    """A running process and all that it started."""

    process: subprocess.Popen[str]

    @classmethod
    def start(
        cls,
        command: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        talk: bool = False,
    ) -> "Child":
        """Starts `command` in the project's root; `talk` gives it pipes for input and output."""
        with log.open("a") as errors:
            output: IO[str] | int = subprocess.PIPE if talk else errors
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                text=True,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one thread at this time
            )
        return cls(process)

    @property
    def running(self) -> bool:
        """Whether the process itself still runs."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Ends the session: asks, waits for some seconds, then kills."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        self._signal(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def memory(self) -> int:
        """Bytes: the proportional set size of the whole session."""
        return sum(_pss(pid) for pid in self._members())

    def cpu(self) -> float:
        """Seconds of processor time that the whole session has used, user and system."""
        return sum(_ticks(pid) for pid in self._members()) / TICKS

    def _members(self) -> Iterator[int]:
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                fields = _stat(int(entry.name))
                if fields and int(fields[3]) == self.process.pid:
                    yield int(entry.name)

    def _signal(self, number: signal.Signals) -> None:
        # The session's leader is also its group's, and nothing here makes groups of its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may hold spaces; empty where the process has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []


def _ticks(pid: int) -> int:
    # utime, stime, and those of children that have ended.
    return sum(int(value) for value in _stat(pid)[11:15])


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("Pss:")), 0)


def tcp_memory() -> int:
    """Bytes that TCP holds in the kernel, for all sockets of this host."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        name, *fields = line.split()
        if name == "TCP:":
            return int(fields[fields.index("mem") + 1]) * PAGE
    raise RuntimeError("/proc/net/sockstat has no TCP line")


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def listening(port: int, child: Child, *, within: float = 30.0) -> bool:
    """Waits until somebody listens; false when the process ends or the time is over."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and child.running:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.05)
    return False
