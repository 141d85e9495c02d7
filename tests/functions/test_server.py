"""The handlers over plain HTTP, in a process of their own, with the bytes read by hand."""

import contextlib
import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.functions.conftest import Function

Run = Callable[..., Function]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    # Ended by a reset.
    reset: bool


@dataclass(frozen=True)
class Serving:
    function: Function
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(self, line: str = "GET / HTTP/1.1", *fields: str, body: bytes = b"") -> Answer:
        with self.connect() as sock:
            sock.sendall("\r\n".join([line, "Host: export", *fields, "", ""]).encode() + body)
            return read(sock)


def read(sock: socket.socket) -> Answer:
    """Everything up to the end of the connection; a chunked body stays as it came."""
    raw, reset = b"", False
    try:
        while got := sock.recv(1 << 20):
            raw += got
    except ConnectionResetError:
        reset = True
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(int(first.split(" ")[1]), headers, body, reset)


@pytest.fixture
def serve(run: Run) -> Callable[..., Serving]:
    def start(handler: str, **environment: str) -> Serving:
        command = (sys.executable, "-m", "spillway_lambda.server", handler, "--host", "127.0.0.1")
        function = run("", command=command, PORT="0", **environment)
        return Serving(function, function.wait_for("serving")["port"])

    return start


def test_a_handler_answers_as_on_lambda(serve: Callable[..., Serving]) -> None:
    answer = serve("handlers.greet").ask()

    assert answer.status == 201
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Set-Cookie"] == "b=2"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.body == b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"


def test_an_old_client_gets_no_chunks(serve: Callable[..., Serving]) -> None:
    answer = serve("handlers.greet").ask("GET / HTTP/1.0")

    assert "Transfer-Encoding" not in answer.headers
    assert (answer.body, answer.reset) == (b"hello world", False)


def test_the_request_becomes_the_event_of_a_function_url(serve: Callable[..., Serving]) -> None:
    answer = serve("handlers.invocation").ask(
        "PUT /a%20b/c?x=1&x=2&y= HTTP/1.1",
        "X-One: 1",
        "x-one: 2",
        "Cookie: a=1; b=2",
        "Content-Length: 2",
        body=b"\0!",
    )

    size, _, rest = answer.body.partition(b"\r\n")
    event = json.loads(rest[: int(size, 16)])["event"]
    assert (event["version"], event["rawPath"]) == ("2.0", "/a%20b/c")
    assert event["rawQueryString"] == "x=1&x=2&y="
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert event["headers"]["x-one"] == "1,2"
    assert event["cookies"] == ["a=1", "b=2"]
    assert (event["body"], event["isBase64Encoded"]) == ("ACE=", True)
    assert event["requestContext"]["http"]["method"] == "PUT"
    assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("on_lambda", "told", "request_id"),
    [
        ("127.0.0.1:1", '{"request_id": "told", "deadline": 4102444800000}', "told"),
        ("127.0.0.1:1", '{"request_id": ', None),
        ("127.0.0.1:1", "null", None),
        ("", '{"request_id": "forged", "deadline": 4102444800000}', None),
    ],
)
def test_what_an_adapter_tells_of_the_invocation_counts_on_lambda_alone(
    serve: Callable[..., Serving], on_lambda: str, told: str, request_id: str | None
) -> None:
    serving = serve("handlers.invocation", AWS_LAMBDA_RUNTIME_API=on_lambda)

    answer = serving.ask(
        "GET / HTTP/1.1",
        f"x-amzn-lambda-context: {told}",
        f"x-amzn-request-context: {told}",
    )

    size, _, rest = answer.body.partition(b"\r\n")
    known = json.loads(rest[: int(size, 16)])
    context = known["event"]["requestContext"]
    assert (known["aws_request_id"] == request_id) == bool(request_id)
    assert (known["deadline_ms"] == 4102444800000) == bool(request_id)
    assert context.get("request_id") == request_id
    # What it does not tell stays what the connection says.
    assert context["http"]["sourceIp"] == "127.0.0.1"


def test_the_guard_refuses_here_too(serve: Callable[..., Serving]) -> None:
    serving = serve("handlers.secret", SECRET_HEADER="right")

    assert serving.ask("GET / HTTP/1.1", "X-Secret-Header: wrong").status == 403
    assert serving.ask("GET / HTTP/1.1", "X-Secret-Header: right").status == 200
    assert "wrong" not in serving.function.log


def test_a_health_check_needs_no_secret_and_calls_no_handler(
    serve: Callable[..., Serving],
) -> None:
    serving = serve("handlers.secret")

    assert serving.ask("GET /healthz HTTP/1.1").body == b"ok\n"
    assert serving.ask("HEAD /healthz HTTP/1.1").body == b""
    assert all(line["event"] != "refused" for line in serving.function.events)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_body_that_breaks_off_is_cut_and_never_ended(
    serve: Callable[..., Serving], version: str
) -> None:
    serving = serve("handlers.breaks")

    answer = serving.ask(f"GET / HTTP/{version}")

    assert answer.status == 200
    assert not answer.body.endswith(b"0\r\n\r\n")
    # To HTTP/1.0, the end of the connection would be the end of the body.
    assert answer.reset
    assert serving.function.wait_for("body_failed")["errorType"] == "ValueError"


@pytest.mark.parametrize(("path", "came"), [("/short", 4), ("/long", 4)])
def test_a_body_of_another_length_than_it_said_is_cut(
    serve: Callable[..., Serving], path: str, came: int
) -> None:
    serving = serve("handlers.mislengthed")

    answer = serving.ask(f"GET {path} HTTP/1.1")

    assert len(answer.body) <= came
    assert answer.reset
    assert serving.function.wait_for("body_failed")["errorType"] == "BadLengthError"


def test_an_error_before_the_first_byte_is_a_502_without_its_cause(
    serve: Callable[..., Serving],
) -> None:
    serving = serve("handlers.fails")

    answer = serving.ask()

    # Its event lacks what the handler reads.
    assert serving.function.wait_for("invocation_failed")["errorType"] == "KeyError"
    assert answer.status == 502
    assert json.loads(answer.body)["error"]["code"] == "handler_failed"
    assert b"KeyError" not in answer.body


def test_an_http_error_has_its_own_status(serve: Callable[..., Serving]) -> None:
    answer = serve("handlers.refuses").ask()

    assert (answer.status, answer.headers["Retry-After"]) == (409, "30")
    assert answer.headers["Content-Length"] == str(len(answer.body))


def test_a_header_field_that_is_two_is_not_sent(serve: Callable[..., Serving]) -> None:
    serving = serve("handlers.splits")

    answer = serving.ask()

    assert answer.status == 502
    assert serving.function.wait_for("closed")
    assert "X-Injected" not in answer.headers


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["Transfer-Encoding: chunked"], 411),
        (["Content-Length: 99999999"], 413),
        (["Content-Length: -1"], 400),
    ],
)
def test_a_request_body_must_be_one_that_lambda_would_take(
    serve: Callable[..., Serving], fields: list[str], status: int
) -> None:
    assert serve("handlers.greet").ask("POST / HTTP/1.1", *fields).status == status


def test_a_head_request_has_no_body(serve: Callable[..., Serving]) -> None:
    serving = serve("handlers.endless")

    answer = serving.ask("HEAD / HTTP/1.1")

    assert (answer.status, answer.body, answer.reset) == (200, b"", False)
    assert serving.function.wait_for("closed")


def test_a_client_that_leaves_or_stops_reading_holds_the_handler(
    serve: Callable[..., Serving],
) -> None:
    serving = serve("handlers.endless")
    with serving.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: export\r\n\r\n")
        sock.recv(1000)
        time.sleep(0.5)
        before = _made(serving.function)
        time.sleep(1)
        assert _made(serving.function) == before

    assert serving.function.wait_for("cut")
    assert serving.function.wait_for("closed")


def test_many_are_served_at_once_and_the_last_one_is_finished_before_the_end(
    serve: Callable[..., Serving],
) -> None:
    serving = serve("handlers.large_async")
    with contextlib.ExitStack() as open_:
        socks = [open_.enter_context(serving.connect()) for _ in range(10)]
        for sock in socks:
            sock.sendall(b"GET / HTTP/1.0\r\nHost: export\r\n\r\n")
            assert sock.recv(1, socket.MSG_PEEK)

        serving.function.process.send_signal(signal.SIGTERM)
        time.sleep(0.7)
        answers = [read(sock) for sock in socks]

    assert {(len(answer.body), answer.reset) for answer in answers} == {(200 * 65536, False)}
    assert serving.function.process.wait(timeout=20) == 0
    with pytest.raises(ConnectionRefusedError):
        serving.connect()


def test_it_needs_the_standard_library_only(run: Run) -> None:
    command = (
        sys.executable,
        "-S",
        "-m",
        "spillway_lambda.server",
        "handlers.greet",
        "--port",
        "0",
    )
    function = run("", command=command)

    serving = Serving(function, function.wait_for("serving")["port"])

    assert serving.ask().status == 201


def test_a_handler_that_is_not_there_ends_it(run: Run, tmp_path: Path) -> None:
    command = (sys.executable, "-m", "spillway_lambda.server", "absent.handler", "--port", "0")

    function = run("", root=tmp_path, command=command)

    assert function.process.wait(timeout=20) == 1


def _made(function: Function) -> int:
    return max((line["bytes"] for line in function.events if line["event"] == "made"), default=0)
