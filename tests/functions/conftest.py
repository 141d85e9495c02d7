"""The function side runs without Django: its folder is put on the path, as Lambda does."""

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FUNCTION = Path(__file__).resolve().parents[2] / "functions" / "python"
sys.path.insert(0, str(FUNCTION))

from tests.functions import fake_runtime_api, fake_s3, third_party  # noqa: E402
from tests.functions.fake_runtime_api import FakeRuntimeApi  # noqa: E402
from tests.functions.fake_s3 import FakeS3  # noqa: E402

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "a-test-key",
    "AWS_DEFAULT_REGION": "eu-central-1",
}


@dataclass(frozen=True)
class Function:
    """A runtime in a process of its own."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def log(self) -> str:
        return self.output.read_text()

    @property
    def events(self) -> list[Any]:
        # The last line may still be on its way.
        lines = self.log.split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_for(self, event: str, seconds: float = 10.0) -> Any:
        """The first line of the log that tells of `event`, as soon as it is there."""
        deadline = time.monotonic() + seconds
        while True:
            for line in self.events:
                if line["event"] == event:
                    return line
            assert time.monotonic() < deadline, f"no {event} in the log:\n{self.log}"
            time.sleep(0.02)


@pytest.fixture
def api() -> Iterator[FakeRuntimeApi]:
    with fake_runtime_api.listening() as listening:
        yield listening


@contextlib.contextmanager
def runtimes(folder: Path) -> Iterator[Callable[..., Function]]:
    """What starts a runtime with a handler (of `handlers.py`, unless `root` says otherwise)."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        handler: str,
        *,
        api: FakeRuntimeApi,
        root: Path = Path(__file__).parent,
        command: tuple[str, ...] = (sys.executable, "-m", "spillway_lambda.runtime"),
        **environment: str,
    ) -> Function:
        output = folder / f"function-{len(started)}.log"
        # Nothing of this process's environment, as in Lambda.
        variables = {
            "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
            "PYTHONPATH": str(FUNCTION),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LAMBDA_TASK_ROOT": str(root),
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "export",
            "AWS_LAMBDA_FUNCTION_VERSION": "7",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "_HANDLER": handler,
        }
        with output.open("wb") as log:
            process = subprocess.Popen(
                command, env=variables | CREDENTIALS | environment, stdout=log, stderr=log
            )
        started.append(process)
        return Function(process, output)

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture
def run(api: FakeRuntimeApi, tmp_path: Path) -> Iterator[Callable[..., Function]]:
    """Starts a runtime that asks `api` for work."""
    with runtimes(tmp_path) as start:
        yield functools.partial(start, api=api)


@pytest.fixture(scope="session")
def kept(pytestconfig: pytest.Config) -> Path:
    """Where fetched programs stay for the next run."""
    cache = pytestconfig.cache
    assert cache is not None
    return cache.mkdir("emulators")


@pytest.fixture
def cargo_lambda(kept: Path, tmp_path: Path) -> Iterator[str]:
    binary = third_party.program("cargo-lambda", kept)
    with third_party.cargo_lambda(binary, tmp_path) as address:
        yield address


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def lying_s3(credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    """S3 by hand, which boto3 uses."""
    with fake_s3.listening() as listening:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", listening.url)
        yield listening


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a third-party S3 (ministack) in a process of its own."""
    state = tmp_path_factory.mktemp("ministack")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    variables = {
        "PATH": os.defpath,
        "HOME": str(state),
        "TMPDIR": str(state),
        "STATE_DIR": str(state),
        "GATEWAY_PORT": port,
        "BIND_HOST": "127.0.0.1",
        "SERVICES": "s3",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
    }
    with (state / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=variables, cwd=state, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_healthy(url, process, state / "log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_ministack/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"ministack did not start:\n{log.read_text()}")


@pytest.fixture
def s3(emulator: str, credentials: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the emulator with a bucket `exports`; other clients of boto3 go there too."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", emulator)
    client = boto3.client("s3")
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(
            Bucket="exports", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
    return client
