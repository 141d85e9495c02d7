"""The runtime against Runtime APIs that we did not write."""

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.functions import third_party
from tests.functions.conftest import Function
from tests.functions.handlers import PIECE, PIECES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MEGABYTE = 1_000_000

Ask = Callable[..., tuple[Function, http.client.HTTPResponse]]


@pytest.fixture
def rie(kept: Path) -> Path:
    return third_party.program("aws-lambda-rie", kept)


@pytest.fixture
def ask(cargo_lambda: str, run: Callable[..., Function]) -> Iterator[Ask]:
    """Runs a handler and sends its function URL a request."""
    connection = http.client.HTTPConnection(urlsplit(cargo_lambda).netloc, timeout=60)

    def asking(handler: str, **environment: str) -> tuple[Function, http.client.HTTPResponse]:
        function = run(handler, AWS_LAMBDA_RUNTIME_API=cargo_lambda, **environment)
        connection.request("GET", "/")
        return function, connection.getresponse()

    yield asking
    connection.close()


def test_200_mb_come_with_the_first_byte_early_and_memory_flat(ask: Ask) -> None:
    begun = time.monotonic()
    function, answer = ask("handlers.two_hundred_megabytes")
    digest = hashlib.sha256(answer.read(1))
    first = time.monotonic() - begun
    early = _memory(function, "VmRSS")
    size = 1
    while data := answer.read(1 << 20):
        digest.update(data)
        size += len(data)

    # The handler waits for two seconds behind its first piece.
    assert first < 2
    assert time.monotonic() - begun > 2
    assert size == PIECES * len(PIECE) > 200 * MEGABYTE
    assert digest.digest() == hashlib.sha256(PIECE * PIECES).digest()
    assert _memory(function, "VmHWM") - early < 16 * MEGABYTE
    assert function.events == []


def test_status_headers_and_cookies_arrive(ask: Ask) -> None:
    _, answer = ask("handlers.greet")

    assert (answer.status, answer.read()) == (201, b"hello world")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers.get_all("set-cookie") == ["a=1; Path=/", "b=2"]


def test_an_empty_body_does_not_hang(ask: Ask) -> None:
    _, answer = ask("handlers.empty")

    assert (answer.status, answer.read()) == (200, b"")


def test_a_refusal_is_streamed(ask: Ask) -> None:
    _, answer = ask("handlers.secret", SECRET_HEADER="right")

    assert answer.status == 403
    assert json.loads(answer.read())["error"]["code"] == "forbidden"


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        ("fails", "KeyError"),
        ("returns_nothing", "TypeError"),
        ("never_yields", "TypeError"),
    ],
)
def test_a_failure_before_the_first_byte_is_an_error_and_no_body(
    ask: Ask, handler: str, error_type: str
) -> None:
    function, answer = ask(f"handlers.{handler}")

    assert answer.status >= 500
    assert error_type in answer.read().decode()
    assert function.wait_for("invocation_failed")["errorType"] == error_type


def invoke(url: str, event: object) -> Any:
    body = json.dumps(event).encode()
    try:
        with urllib.request.urlopen(url, body, timeout=30) as answer:
            return answer.read()
    except urllib.error.HTTPError as refused:
        # Its status is 200 or 502, according to its version and to the phase that failed.
        with refused:
            return refused.read()


def test_awss_own_emulator_takes_the_response(rie: Path, tmp_path: Path) -> None:
    with third_party.lambda_rie(rie, tmp_path, "handlers.greet") as url:
        answers = {invoke(url, {}) for _ in range(3)}

    (answer,) = answers
    metadata, body = answer.split(b"\0" * 8)
    assert json.loads(metadata)["cookies"] == ["a=1; Path=/", "b=2"]
    assert body == b"hello world"


@pytest.mark.parametrize("fails", ["before the head", "before the first byte"])
def test_awss_own_emulator_takes_an_error_before_the_first_byte(
    rie: Path, tmp_path: Path, fails: str
) -> None:
    with third_party.lambda_rie(rie, tmp_path, "handlers.fails") as url:
        reports = [json.loads(invoke(url, {"fails": fails})) for _ in range(2)]

    assert {report["errorMessage"] for report in reports} <= {"no head", "no byte"}
    assert "in fails" in "".join(reports[1]["stackTrace"])


def test_awss_own_emulator_takes_trailers_and_gives_more_work(rie: Path, tmp_path: Path) -> None:
    with third_party.lambda_rie(rie, tmp_path, "handlers.fails") as url:
        answers = [invoke(url, {"fails": "later", "after": 70_000}) for _ in range(2)]

    assert {answer.split(b"\0" * 8)[1] for answer in answers} == {b"x" * 70_000}
    log = (tmp_path / "rie.log").read_text()
    assert log.count('"event": "body_failed"') == 2
    assert "platform_gone" not in log
    assert "response_refused" not in log


def test_awss_own_emulator_is_told_of_a_handler_that_returns_nothing(
    rie: Path, tmp_path: Path
) -> None:
    with third_party.lambda_rie(rie, tmp_path, "handlers.returns_nothing") as url:
        report = json.loads(invoke(url, {}))

    assert report["errorType"] == "TypeError"
    assert "NoneType, not a generator" in report["errorMessage"]


def test_awss_own_emulator_is_told_of_a_failed_init(rie: Path, tmp_path: Path) -> None:
    with third_party.lambda_rie(rie, tmp_path, "absent.handler") as url:
        report = json.loads(invoke(url, {}))

    assert report["errorType"] == "ModuleNotFoundError"
    assert "No module named 'absent'" in report["errorMessage"]


@pytest.mark.parametrize("event", [{}, {"after": 70_000}])
def test_a_handler_past_its_deadline_is_ended_and_the_next_one_served(
    rie: Path, tmp_path: Path, event: dict[str, int]
) -> None:
    with third_party.lambda_rie(
        rie, tmp_path, "handlers.sleeps_once", AWS_LAMBDA_FUNCTION_TIMEOUT="2", MARK=str(tmp_path)
    ) as url:
        late = invoke(url, event)
        next_one = invoke(url, event)

    assert b"Task timed out after 2.00 seconds" in late
    assert next_one.endswith(b"in time")


def _memory(function: Function, name: str) -> int:
    """Bytes, as Linux counts them."""
    status = Path(f"/proc/{function.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
