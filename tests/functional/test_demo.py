"""`make demo`, as a newcomer runs it: the handler of `functions/`, S3, a portal and a worker."""

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.functional.client import Exchange
from tests.functional.conftest import ROOT, until

MEGABYTE = 1 << 20


@dataclass
class Demo:
    process: subprocess.Popen[str]
    folder: Path
    port: int
    token: str
    started_in: float

    def children(self) -> list[int]:
        """Everything that runs on its behalf, by the folder that they all know."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                environment = (entry / "environ").read_bytes()
                if str(self.folder).encode() in environment and int(entry.name) != os.getpid():
                    found.append(int(entry.name))
        return found

    def web_server(self) -> int:
        """The process that serves the downloads."""
        for child in self.children():
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if b"serve" in words:
                return child
        raise AssertionError("no web server")


@contextlib.contextmanager
def demo(folder: Path) -> Iterator[Demo]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SPILLWAY_", "DJANGO_"))}
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.demo", "--port", str(port)],
        cwd=ROOT,
        env={**kept, "SPILLWAY_STATE_DIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = ""
    try:
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, f"the demo ended: {said}"
            said += line
        token = re.findall(r"Bearer (\S+)'", said)[0]
        made = Demo(process, folder, port, token, time.monotonic() - begun)
        yield made
    finally:
        # As the terminal's Ctrl-C does: once, to the one process that is in the foreground.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def fetch(demo: Demo) -> tuple[int, bytes]:
    """How many bytes came of the 200 MB, and their SHA-256."""
    exchange = Exchange(
        demo.port, "/exports/orders/download", f"Authorization: Bearer {demo.token}"
    )
    answer = exchange.read_head()
    assert answer.status == 200, answer
    total = int(answer.value("content-length") or 0)
    digest, got = hashlib.sha256(exchange.rest()), len(exchange.rest())
    while got < total and (data := exchange.sock.recv(MEGABYTE)):
        digest.update(data)
        got += len(data)
    exchange.sock.close()
    return got, digest.digest()


def slugs() -> list[str]:
    """Every export of the demo."""
    text = (ROOT / "sandbox" / "demo.yaml").read_text()
    return re.findall(r"slug: ([a-z0-9-]+)", text)


# Made while they are sent: such an export begins at its beginning only.
WITHOUT_RANGES = {"people", "measurements"}


def begins(demo: Demo, slug: str) -> int:
    """The status of the answer to a request for the first bytes."""
    path, token = f"/exports/{slug}/download", f"Authorization: Bearer {demo.token}"
    fields = (token, "Range: bytes=0-999", "Accept-Encoding: gzip")
    answer = Exchange(demo.port, path, *fields).read()
    if slug in WITHOUT_RANGES:
        assert len(answer.body) > 100_000, answer.body[:500]
    else:
        assert len(answer.body) == 1000, answer.body[:500]
    return answer.status


def expected() -> dict[str, int]:
    return {slug: 200 if slug in WITHOUT_RANGES else 206 for slug in slugs()}


def orders() -> bytes:
    from sandbox.demo import _orders

    return hashlib.sha256(_orders()).digest()


def memory(process: int, name: str) -> int:
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.split(f"{name}:")[1].split()[0]) * 1024


def kept(folder: Path) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(folder / "spillway.sqlite3")) as database:
        return database.execute("select slug, state from streams_download order by 1").fetchall()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_newcomer_gets_200_mb_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with demo(tmp_path) as first:
        assert first.started_in < 120
        web = first.web_server()
        Path(f"/proc/{web}/clear_refs").write_text("5")
        before = memory(web, "VmRSS")

        got, digest = fetch(first)

        assert (got, digest) == (200_000_000, orders())
        assert memory(web, "VmHWM") - before < 64 * MEGABYTE
        assert until(lambda: kept(tmp_path) == [("orders", "complete")])
        assert len(first.children()) > 4, "the test does not see the demo's processes"
    assert first.process.returncode == 0
    assert first.children() == []


def rotations(folder: Path) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(folder / "spillway.sqlite3")) as database:
        return database.execute("select state, step from streams_rotation").fetchall()


def rotate(folder: Path) -> None:
    """As an operator does beside the demo: its worker sees to the rest."""
    subprocess.run(
        [sys.executable, "manage.py", "rotate", "orders"],
        cwd=ROOT, env={**os.environ, "SPILLWAY_STATE_DIR": str(folder)}, check=True, timeout=60,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_second_start_keeps_the_data_and_every_export_is_to_be_had(tmp_path: Path) -> None:
    with demo(tmp_path) as first:
        rotate(tmp_path)
        # It ends midway, and the second start finds it so.
        assert until(lambda: rotations(tmp_path)[0][1].startswith("switch"), 90)
    with demo(tmp_path) as second:
        assert until(lambda: rotations(tmp_path) == [("completed", "finish")], 120)
        second.token = first.token
        assert {slug: begins(second, slug) for slug in slugs()} == expected()
        assert until(lambda: len(kept(tmp_path)) == len(slugs()))
        assert fetch(second) == (200_000_000, orders())
        assert until(lambda: kept(tmp_path).count(("orders", "complete")) == 2)
    assert second.children() == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_doctor_finds_nothing_wrong_with_any_export(tmp_path: Path) -> None:
    with demo(tmp_path) as first:
        # In the environment of its web server, which the sandbox's address is part of.
        told = Path(f"/proc/{first.web_server()}/environ").read_text().rstrip("\0").split("\0")
        done = subprocess.run(
            [sys.executable, "manage.py", "doctor", "--json"],
            cwd=ROOT, env=dict(entry.split("=", 1) for entry in told), check=False,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    report = json.loads(done.stdout)
    assert (done.returncode, report["findings"]) == (0, [])
    opened = {one["subject"] for one in report["skipped"] if one["id"] == "does-not-open"}
    assert not opened, "not every export was asked"


def test_a_taken_port_is_told_and_nothing_stays(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "sandbox.demo", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, "SPILLWAY_STATE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    assert done.returncode == 1
    assert "make demo PORT=8123" in done.stdout
