"""The images of our Dockerfiles, built and run as Lambda and ECS run them."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.functions import images, third_party, web_adapter
from tests.functions.conftest import CREDENTIALS, FUNCTION
from tests.functions.fake_runtime_api import FakeRuntimeApi
from tests.functions.handlers import PIECE, PIECES
from tests.functions.images import Podman

Variables = dict[str, str]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SERVER = FUNCTION.parent / "recipes/container/Dockerfile"
PORTAL = FUNCTION.parents[1] / "deploy/Dockerfile"
# Whatever an image says, Lambda runs it as a user of its own, and lets it write below /tmp alone.
AS_LAMBDA = (
    "--user=993:990",
    "--read-only",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    # The least that a function can have.
    "--memory=128m",
)
AS_LAMBDA_ENVIRONMENT = {"AWS_LAMBDA_FUNCTION_NAME": "export", "AWS_LAMBDA_FUNCTION_VERSION": "7"}
BODY = os.urandom(1 << 20) * 24
HANDLERS = f"--volume={Path(__file__).with_name('handlers.py')}:/var/task/handlers.py:ro"


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with images.podman() as podman:
        yield podman


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The README's own, for Lambda."""
    text = (FUNCTION / "README.md").read_text()
    (sample,) = re.findall(r"```dockerfile\n(FROM .*?)```", text, re.DOTALL)
    path = tmp_path_factory.mktemp("lambda") / "Dockerfile"
    path.write_text(sample)
    return path


@pytest.fixture(scope="module")
def for_lambda(podman: Podman, dockerfile: Path) -> str:
    podman.bring(
        "public.ecr.aws/lambda/python:3.13",
        "ENV LAMBDA_TASK_ROOT=/var/task",
        "WORKDIR /var/task",
        'ENTRYPOINT ["/lambda-entrypoint.sh"]',
    )
    podman.build("for-lambda", dockerfile=dockerfile, context=FUNCTION)
    return "for-lambda"


@pytest.fixture(scope="module")
def server(podman: Podman) -> str:
    podman.bring("docker.io/library/python:3.13-slim")
    podman.build("server", dockerfile=SERVER, context=FUNCTION.parent)
    return "server"


@pytest.fixture(scope="module")
def behind_adapter(podman: Podman, server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The server's image with the README's lines for the adapter, or what stands in for that."""
    text = (FUNCTION / "README.md").read_text()
    (lines,) = re.findall(r"```dockerfile\n(COPY .*?)```", text, re.DOTALL)
    (name,) = re.findall(r"COPY --from=(\S+)", lines)
    program = Path(web_adapter.REAL).read_bytes() if web_adapter.REAL else b"#!/bin/sh\n"
    podman("import", "-", name, stdin=images.packed({"/lambda-adapter": program}))
    folder = tmp_path_factory.mktemp("adapter")
    (folder / "Dockerfile").write_text(SERVER.read_text() + lines)
    podman.build("behind-adapter", dockerfile=folder / "Dockerfile", context=FUNCTION.parent)
    return "behind-adapter"


@pytest.fixture
def export(s3: Any, emulator: str) -> Variables:
    """An object of 24 MB, and the variables of its export."""
    s3.put_object(Bucket="exports", Key="orders.csv", Body=BODY)
    return CREDENTIALS | {
        "SECRET_HEADER": "right",
        "EXPORT_BUCKET": "exports",
        "EXPORT_KEY": "orders.csv",
        "AWS_ENDPOINT_URL_S3": emulator,
    }


@contextlib.contextmanager
def asking(url: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", parts.path or "/", headers=named)
        yield connection.getresponse()
    finally:
        connection.close()


def exports(url: str) -> None:
    """Asserts that the handler of `app.py` answers there, and whom."""
    with asking(url, x_secret_header="right") as whole:
        assert whole.status == 200
        assert hashlib.sha256(whole.read()).digest() == hashlib.sha256(BODY).digest()
    with asking(url, x_secret_header="right", range="bytes=5-9") as part:
        assert (part.status, part.read()) == (206, BODY[5:10])
        assert part.headers["content-range"] == f"bytes 5-9/{len(BODY)}"
    for value in ("wrong", ""):
        with asking(url, x_secret_header=value) as refused:
            assert refused.status == 403
            assert json.loads(refused.read())["error"]["code"] == "forbidden"


def test_the_one_for_lambda_exports(
    podman: Podman, for_lambda: str, cargo_lambda: str, export: Variables, tmp_path: Path
) -> None:
    variables = AS_LAMBDA_ENVIRONMENT | export | {"AWS_LAMBDA_RUNTIME_API": cargo_lambda}
    with podman.running(
        for_lambda, log=tmp_path / "export.log", options=AS_LAMBDA, variables=variables
    ):
        exports(cargo_lambda.removesuffix("/.rt"))

    events = [json.loads(line) for line in (tmp_path / "export.log").read_text().splitlines()]
    assert [event["event"] for event in events] == ["refused", "refused"]


def test_the_one_for_lambda_streams_200_mb_in_the_least_memory(
    podman: Podman, for_lambda: str, cargo_lambda: str, tmp_path: Path
) -> None:
    variables = AS_LAMBDA_ENVIRONMENT | {"AWS_LAMBDA_RUNTIME_API": cargo_lambda}
    log = tmp_path / "streams.log"
    options = (*AS_LAMBDA, HANDLERS)
    handler = "handlers.two_hundred_megabytes"
    with podman.running(for_lambda, handler, log=log, options=options, variables=variables):
        begun = time.monotonic()
        with asking(cargo_lambda.removesuffix("/.rt")) as answer:
            digest = hashlib.sha256(answer.read(1))
            waited = time.monotonic()
            while data := answer.read(1 << 20):
                digest.update(data)

    assert digest.digest() == hashlib.sha256(PIECE * PIECES).digest()
    # The handler waits for two seconds behind its first piece.
    assert time.monotonic() - waited > 1.5, f"the first byte took {waited - begun} seconds"


def test_the_one_for_lambda_tells_of_a_body_that_breaks_off(
    podman: Podman, for_lambda: str, api: FakeRuntimeApi, tmp_path: Path
) -> None:
    variables = AS_LAMBDA_ENVIRONMENT | {"AWS_LAMBDA_RUNTIME_API": api.address}
    options = (*AS_LAMBDA, HANDLERS)
    log = tmp_path / "breaks.log"
    with podman.running(
        for_lambda, "handlers.fails", log=log, options=options, variables=variables
    ):
        sent = api.answer_to({"fails": "later", "after": 70_000})

    assert sent.body == b"x" * 70_000
    assert sent.trailers["Lambda-Runtime-Function-Error-Type"] == "ConnectionResetError"


def test_the_one_for_lambda_refuses_everybody_without_a_secret(
    podman: Podman, for_lambda: str, api: FakeRuntimeApi, export: Variables, tmp_path: Path
) -> None:
    variables = AS_LAMBDA_ENVIRONMENT | export | {"AWS_LAMBDA_RUNTIME_API": api.address}
    del variables["SECRET_HEADER"]
    with podman.running(
        for_lambda, log=tmp_path / "refuses.log", options=AS_LAMBDA, variables=variables
    ):
        answer = api.answer_to({"headers": {"x-secret-header": ""}})

    assert answer.prelude["statusCode"] == 403


def test_the_server_exports_is_healthy_and_finishes_before_it_ends(
    podman: Podman, server: str, export: Variables, tmp_path: Path
) -> None:
    port = third_party.free_port()
    health = podman("image", "inspect", server, "--format", "{{json .HealthCheck.Test}}")
    log = tmp_path / "server.log"
    with podman.running(server, log=log, variables=export | {"PORT": str(port)}) as container:
        assert third_party.until(lambda: third_party.listens(port)), log.read_text()
        url = f"http://127.0.0.1:{port}"
        exports(url)
        assert (
            podman("exec", container.name, "python3", "-c", "import os; print(os.getuid())")
            == "10001\n"
        )
        # It asks at the port of the image.
        kind, *check = json.loads(health)
        assert kind == "CMD"
        podman("exec", container.name, *(word.replace("8080", str(port)) for word in check))

        with asking(url, x_secret_header="right") as answer:
            first = answer.read(1)
            podman("kill", "--signal", "TERM", container.name)
            rest = answer.read()
        assert first + rest == BODY
        assert container.process.wait(timeout=20) == 0


def test_the_server_runs_on_lambda_behind_the_adapter(
    podman: Podman, behind_adapter: str, cargo_lambda: str, export: Variables, tmp_path: Path
) -> None:
    port = third_party.free_port()
    log = tmp_path / "adapted.log"
    variables = AS_LAMBDA_ENVIRONMENT | export | {"AWS_LAMBDA_RUNTIME_API": cargo_lambda}
    # Lambda sets it, wherever the image has its handler.
    variables |= {"AWS_LWA_PORT": str(port), "LAMBDA_TASK_ROOT": "/var/task"}
    with podman.running(
        behind_adapter, log=log, options=AS_LAMBDA, variables=variables
    ) as container:
        if not web_adapter.REAL:
            with web_adapter.stand_in(port) as url:
                exports(url)
            return
        assert third_party.until(lambda: third_party.listens(port)), log.read_text()
        told = web_adapter.environment(cargo_lambda, port)
        command = ["exec", *(f"--env={name}={value}" for name, value in told.items())]
        command = podman.command(*command, container.name, "/opt/extensions/lambda-adapter")
        with third_party.running(command, tmp_path / "adapter.log", {"PATH": os.defpath}):
            exports(cargo_lambda.removesuffix("/.rt"))


def test_dockerfiles_are_as_their_linter_wants_them(kept: Path, dockerfile: Path) -> None:
    program = third_party.program("hadolint", kept)

    done = subprocess.run(
        [program, SERVER, PORTAL, dockerfile], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")
