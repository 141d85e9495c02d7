"""The image of `deploy/Dockerfile`, built by podman from the lock, and run without privilege."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.functional.client import Exchange
from tests.functional.origin import Connection, Origin, Request, head
from tests.functions import images, third_party
from tests.functions.images import Container, Podman

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements/production.txt"
REGISTRY = """
version: 1
endpoints:
  - {{slug: plain, title: Plain, kind: http, url: "{url}", groups: "*"}}
"""
# As deploy/compose.yaml and Kubernetes run it.
UNPRIVILEGED = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with images.podman() as podman:
        yield podman


@pytest.fixture(scope="module")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "-r", str(LOCK), "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"the packages of the lock are not to be had: {done.stderr[-300:]}")
    wheels = {path.name: path.read_bytes() for path in folder.iterdir()}
    podman.bring("docker.io/library/python:3.11-slim", wheels=wheels)
    podman.build("spillway", dockerfile=ROOT / "deploy/Dockerfile", context=ROOT)
    return "spillway"


def trickling(_: Request, connection: Connection) -> None:
    connection.send(head("Content-Length: 40"))
    for _byte in range(40):
        connection.send(b"x")
        time.sleep(0.1)


def test_it_migrates_serves_works_and_lets_downloads_finish(
    podman: Podman, image: str, origin: Origin, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "key").write_text("k" * 40)
    (given / "registry.yaml").write_text(REGISTRY.format(url=origin.url))
    options = (*UNPRIVILEGED, "--volume=state:/var/lib/spillway", f"--volume={given}:/given:ro")
    variables = {
        "SPILLWAY_PRIVATE_ORIGINS": "127.0.0.0/8",
        "SPILLWAY_SECRET_KEY_FILE": "/given/key",
        "PASSWORD": "tests-only",
    }

    def logged(name: str) -> str:
        return (tmp_path / f"{name}.log").read_text()

    def run(name: str, *words: str) -> AbstractContextManager[Container]:
        log = tmp_path / f"{name}.log"
        return podman.running(image, *words, log=log, options=options, variables=variables)

    with run("migrate", "migrate", "--noinput") as migrate:
        assert migrate.process.wait(60) == 0, logged("migrate")
    port = third_party.free_port()
    serve = ["serve", "--bind", f"127.0.0.1:{port}", "--workers", "2"]
    with run("web", *serve) as web, run("worker", "worker", "--with-scheduler") as worker:

        def execute(*words: str) -> str:
            return podman("exec", web.name, "python3", *words)

        assert third_party.until(lambda: third_party.listens(port), 60), logged("web")
        assert third_party.until(lambda: Exchange(port, "/readyz").read().status == 200, 60)
        # The check of the image, at the port of the test.
        health = podman("image", "inspect", image, "--format", "{{json .HealthCheck.Test}}")
        kind, _, *check = json.loads(health)
        assert kind == "CMD"
        execute(*(word.replace("8000", str(port)) for word in check))
        assert execute("-c", "import os; print(os.getuid(), os.access('/opt', os.W_OK))") == (
            "10001 False\n"
        )
        # No state, no key and no test of the folder that it was built in.
        found = execute("-c", "import os; print(*sorted(os.listdir('/opt/spillway')))")
        program = ["locale", "manage.py", "portal", "static", "streams", "templates"]
        assert found.split() == ["__pycache__", *program]
        execute("manage.py", "apply", "/given/registry.yaml")
        execute("manage.py", "create_user", "ann", "--password-env", "PASSWORD")
        token = execute("manage.py", "create_token", "ann").strip()

        case = origin.on(trickling)
        download = Exchange(
            port, f"/exports/plain/download?case={case.name}", f"Authorization: Bearer {token}"
        )
        assert download.read_head().status == 200
        podman("kill", "--signal", "TERM", web.name)
        while len(download.rest()) < 40 and download.more():
            pass

        assert download.rest() == b"x" * 40
        download.leave()
        assert web.process.wait(30) == 0, logged("web")
        assert third_party.until(lambda: "ready" in logged("worker"), 60), logged("worker")
        podman("kill", "--signal", "TERM", worker.name)
        assert worker.process.wait(60) == 0, logged("worker")
