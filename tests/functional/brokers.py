"""Brokers that tests start, kill and restart empty."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.functional.conftest import until

# Debian's own `rabbitmq-server` changes to the system's user and folders.
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Broker:
    """A server that forgets everything when it ends."""

    port: int
    url: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.port = free_port()

    def commands(self) -> Iterable[tuple[list[str], dict[str, str]]]:
        """What to start, with which variables besides our own; the last one serves `port`."""
        raise NotImplementedError

    @property
    def settings(self) -> dict[str, str]:
        """What a portal has in its environment to use it."""
        return {"CELERY_BROKER_URL": self.url}

    def start(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            for words, variables in self.commands():
                started = subprocess.Popen(
                    words, env={**os.environ, **variables}, stdout=log, stderr=log,
                    start_new_session=True,
                )  # fmt: skip
                self.processes.append(started)
        assert until(lambda: answers(self.port), 60), "the broker did not start"

    def kill(self) -> None:
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()


class Redis(Broker):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def commands(self) -> Iterable[tuple[list[str], dict[str, str]]]:
        words = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        yield [*words, "--appendonly", "no", "--dir", str(self.folder)], {}


class RabbitMQ(Broker):
    """A node of its own, with a port mapper of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.distribution, self.mapper = free_port(), free_port()

    def commands(self) -> Iterable[tuple[list[str], dict[str, str]]]:
        yield ["epmd", "-port", str(self.mapper), "-address", "127.0.0.1"], {}
        plugins = self.folder / "plugins"
        plugins.write_text("[].")
        yield (
            [RABBITMQ],
            {
                "HOME": str(self.folder),
                "ERL_EPMD_PORT": str(self.mapper),
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODENAME": f"spillway{self.port}@localhost",
                "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODE_PORT": str(self.port),
                "RABBITMQ_DIST_PORT": str(self.distribution),
                "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
                "RABBITMQ_LOG_BASE": str(self.folder / "log"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
                "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
                "RABBITMQ_CONF_ENV_FILE": os.devnull,
            },
        )


class Sqs(Broker):
    """An emulator of AWS, as the sandbox uses it."""

    url = "sqs:///orders-portal"

    @property
    def settings(self) -> dict[str, str]:
        address = f"http://127.0.0.1:{self.port}"
        return {**super().settings, "AWS_ENDPOINT_URL_SQS": address}

    def commands(self) -> Iterable[tuple[list[str], dict[str, str]]]:
        server = ["uvicorn", "ministack.app:app", "--host", "127.0.0.1", "--port", str(self.port)]
        folder = str(self.folder)
        yield [sys.executable, "-m", *server], {"GATEWAY_PORT": str(self.port), "TMPDIR": folder}


KINDS: dict[str, tuple[Callable[[Path], Broker], str]] = {
    "redis": (Redis, "redis-server"),
    "rabbitmq": (RabbitMQ, RABBITMQ),
    "sqs": (Sqs, sys.executable),
}


def broker(kind: str, folder: Path) -> Broker:
    """A broker that runs; skips the test where its program is missing."""
    make, program = KINDS[kind]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    made = make(folder)
    made.start()
    return made
