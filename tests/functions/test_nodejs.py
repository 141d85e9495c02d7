"""The Node.js side, where it differs: its own tests, what it needs, what AWS's runtime does."""

import re
import socket
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import pytest

from functions import package
from tests.functions.conftest import Function
from tests.functions.fake_runtime_api import FakeRuntimeApi
from tests.functions.fake_s3 import FakeS3, object_answer
from tests.functions.languages import NODE, NODEJS, needs_node, node

MIB = 1024 * 1024
DEPLOYED = {"SECRET_HEADER": "right", "EXPORT_BUCKET": "exports", "EXPORT_KEY": "orders.csv"}
EVENT = {"headers": {"x-secret-header": "right"}}


def start(run: Callable[..., Function], *, root: Path = NODEJS, s3: str) -> Function:
    variables = DEPLOYED | NODE.environment | {"AWS_ENDPOINT_URL_S3": s3}
    return run("app.handler", root=root, command=NODE.command, **variables)


@needs_node
def test_its_own_tests_pass() -> None:
    tests = sorted(map(str, (NODEJS / "test").glob("*.test.mjs")))

    ended = _run(node(), "--test", *tests)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "\n# fail 0\n" in ended.stdout
    assert "\n# skipped 0\n" in ended.stdout


@needs_node
def test_its_types_hold() -> None:
    compiler = NODEJS / "node_modules" / "typescript" / "bin" / "tsc"

    ended = _run(node(), str(compiler))

    assert (ended.returncode, ended.stdout) == (0, "")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, cwd=NODEJS, capture_output=True, text=True, timeout=100
    )


def test_its_lock_names_no_address() -> None:
    assert "://" not in (NODEJS / "package-lock.json").read_text()


@needs_node
def test_the_zip_file_holds_all_that_lambda_does_not_bring(
    api: FakeRuntimeApi, run: Callable[..., Function], lying_s3: FakeS3, tmp_path: Path
) -> None:
    with zipfile.ZipFile(BytesIO(package.exporting_node())) as archive:
        archive.extractall(tmp_path / "task")
    # Lambda's Node.js brings the SDK, and nothing else.
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "@aws-sdk").symlink_to(NODEJS / "node_modules" / "@aws-sdk")
    lying_s3.script = lambda asked: object_answer(b"the object", etag='"v1"')
    start(run, root=tmp_path / "task", s3=lying_s3.url)

    sent = api.answer_to(EVENT)

    assert (sent.prelude["statusCode"], sent.body) == (200, b"the object")


@needs_node
def test_the_handler_of_the_readme_works(
    api: FakeRuntimeApi, run: Callable[..., Function], tmp_path: Path
) -> None:
    (sample,) = re.findall(r"```js\n(.*?)```", (NODEJS / "README.md").read_text(), re.DOTALL)
    (tmp_path / "report.mjs").write_text(sample)
    (tmp_path / "spillway-lambda").symlink_to(NODEJS / "spillway-lambda")
    run(
        "report.handler",
        root=tmp_path,
        command=NODE.command,
        SECRET_HEADER="right",
        **NODE.environment,
    )

    report = api.answer_to(EVENT | {"rawPath": "/report"})
    other = api.answer_to(EVENT | {"rawPath": "/other"})

    assert report.prelude["headers"] == {"Content-Type": "text/csv"}
    assert report.body.splitlines()[-1] == b"99999,9999800001"
    assert (other.prelude["statusCode"], b"no_such_report" in other.body) == (404, True)


def test_the_readme_names_every_event_that_is_logged() -> None:
    sources = "".join(file.read_text() for file in (NODEJS / "spillway-lambda").glob("*.mjs"))
    logged = set(re.findall(r"\blog\('(\w+)'", sources))

    assert logged
    assert [name for name in logged if f"`{name}`" not in (NODEJS / "README.md").read_text()] == []


@needs_node
def test_the_response_bears_what_lambda_knows_metadata_by(
    api: FakeRuntimeApi, run: Callable[..., Function], lying_s3: FakeS3
) -> None:
    lying_s3.script = lambda asked: object_answer(b"", etag='"v1"')
    start(run, s3=lying_s3.url)

    sent = api.answer_to(EVENT)

    # An empty body too has its metadata: without a write, the runtime would send none.
    assert sent.headers["Content-Type"] == "application/vnd.awslambda.http-integration-response"
    assert sent.headers["Lambda-Runtime-Function-Response-Mode"] == "streaming"
    assert (sent.prelude["headers"]["Content-Length"], sent.body) == ("0", b"")


@needs_node
def test_s3_dying_before_its_first_byte_fails_the_invocation(
    api: FakeRuntimeApi, run: Callable[..., Function], lying_s3: FakeS3
) -> None:
    lying_s3.script = lambda asked: object_answer(b"", etag='"v1"', Content_Length="1000")
    start(run, s3=lying_s3.url)

    sent = api.answer_to(EVENT)

    # AWS's runtime has no other place for the error of a streaming handler than the trailers.
    assert sent.chunks == []
    assert sent.trailers["Lambda-Runtime-Function-Error-Type"]
    api.next()


@dataclass
class EndlessS3:
    """Sends one object as long as it is read, and counts."""

    url: str
    sent: int = 0
    held_back: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def endless_s3() -> Iterator[EndlessS3]:
    listener = socket.create_server(("127.0.0.1", 0))
    s3 = EndlessS3(f"http://127.0.0.1:{listener.getsockname()[1]}")

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(object_answer(b"", etag='"v1"', Content_Length=str(1 << 40)))
            sock.settimeout(2)
            try:
                while True:
                    s3.sent += sock.send(b"x" * 65536)
            except TimeoutError:
                s3.held_back.set()

    thread = threading.Thread(target=serve)
    thread.start()
    yield s3
    thread.join()
    listener.close()


@needs_node
def test_a_reader_that_stops_holds_s3_back(
    api: FakeRuntimeApi, run: Callable[..., Function], endless_s3: EndlessS3
) -> None:
    start(run, s3=endless_s3.url)
    api.invoke(EVENT)

    api.begun()

    assert endless_s3.held_back.wait(30)
    # What the kernel holds on four ends of two connections, and little more.
    assert endless_s3.sent < 32 * MIB
