"""One sandbox for most tests, a second one with everything set otherwise."""

import http.client
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import sandbox

RUNTIME = Path(__file__).parent / "runtime"
MIB = 1 << 20


@dataclass
class Answer:
    """What a client saw. `cut` where the body ended before its time."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    cut: bool = False


def get(url: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, headers=headers or {})
        response = connection.getresponse()
        try:
            return Answer(response.status, response.headers, response.read())
        except http.client.IncompleteRead as exc:
            return Answer(response.status, response.headers, exc.partial, cut=True)
    finally:
        connection.close()


def until(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    """Wait for something that happens soon; False where it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@dataclass
class Running:
    """A sandbox with its folder, and names for functions that are never used twice."""

    aws: sandbox.Sandbox
    state: Path
    count: int = 0

    def deploy(
        self, handler: str, environment: dict[str, str] | None = None, **options: Any
    ) -> str:
        self.count += 1
        return self.aws.deploy_function(self.name, RUNTIME, handler, environment, **options)

    @property
    def name(self) -> str:
        """The name of the function that was deployed last."""
        return f"function-{self.count}"

    @property
    def log(self) -> str:
        """What the function that was deployed last has printed."""
        path = self.state / "logs" / f"{self.name}.log"
        return path.read_text() if path.exists() else ""


def _start(state: Path, **settings: Any) -> Iterator[Running]:
    with sandbox.running(sandbox.Settings(state=state, **settings)) as aws:
        yield Running(aws, state)


@pytest.fixture(scope="package")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """As AWS is, but for a short propagation and few processes."""
    yield from _start(
        tmp_path_factory.mktemp("usual"),
        propagation_seconds=1.0,
        concurrency=3,
        generated={"exports-generated/archive.bin": 5 << 30},
    )


@pytest.fixture(scope="package")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Everything that can be set the other way is."""
    yield from _start(
        tmp_path_factory.mktemp("tuned"),
        propagation_seconds=0.0,
        bandwidth=MIB,
        burst=MIB,
        gateway_timeout=1.0,
        init_seconds=2.0,
        midway_error="trailers",
        pass_content_length=False,
        drain_on_disconnect=False,
        strict_mappings=True,
        strict_updates=True,
        s3_region="eu-central-1",
    )
