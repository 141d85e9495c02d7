"""The server behind Lambda Web Adapter, as `web_adapter.py` has it: a function URL in front."""

import contextlib
import hashlib
import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.functions import third_party, web_adapter
from tests.functions.conftest import FUNCTION, Function
from tests.functions.handlers import PIECE, PIECES

MEGABYTE = 1_000_000
SECRET = {"X-Secret-Header": "right"}


@dataclass(frozen=True)
class Behind:
    """A function URL, and the server that answers it in the end."""

    url: str
    function: Function
    stack: contextlib.ExitStack

    def open(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        self.stack.callback(connection.close)
        connection.request(method, path, body, dict(headers or {}))
        return connection.getresponse()

    def ask(self, *request: Any, **more: Any) -> tuple[int, bytes]:
        with self.open(*request, **more) as answer:
            return answer.status, answer.read()


Start = Callable[..., Behind]


@pytest.fixture(params=["the stand-in", *(["the real one"] if web_adapter.REAL else [])])
def behind(
    request: pytest.FixtureRequest, run: Callable[..., Function], tmp_path: Path
) -> Iterator[Start]:
    """Starts an adapter, and then the server that it waits for."""
    with contextlib.ExitStack() as stack:

        def start(handler: str, **environment: Any) -> Behind:
            port = third_party.free_port()
            if request.param == "the stand-in":
                adapter = web_adapter.stand_in(port)
            else:
                api = request.getfixturevalue("cargo_lambda")
                adapter = web_adapter.real(api, port, tmp_path / "adapter.log")
            url = stack.enter_context(adapter)
            command = (sys.executable, "-m", "spillway_lambda.server", handler)
            function = run(
                "", command=(*command, "--host", "127.0.0.1"), AWS_LWA_PORT=str(port), **environment
            )
            return Behind(url, function, stack)

        yield start


def test_answers_arrive_one_after_another(behind: Start) -> None:
    function_url = behind("handlers.greet")
    for _ in range(5):
        answer = function_url.open()

        assert (answer.status, answer.read()) == (201, b"hello world")
        assert answer.headers["content-type"] == "text/plain"
        assert answer.headers.get_all("set-cookie") == ["a=1; Path=/", "b=2"]


def test_the_handler_is_told_of_the_invocation(behind: Start) -> None:
    fields = {"X-One": "1", "Cookie": "a=1; b=2", "Content-Type": "application/octet-stream"}

    status, body = behind("handlers.invocation").ask("PUT", "/a%20b?x=1&y=", fields, b"\0!")

    assert status == 200
    known = json.loads(body)
    event = known["event"]
    assert (event["rawPath"], event["rawQueryString"]) == ("/a%20b", "x=1&y=")
    assert (event["headers"]["x-one"], event["cookies"]) == ("1", ["a=1", "b=2"])
    assert (event["body"], event["isBase64Encoded"]) == ("ACE=", True)
    told = json.loads(event["headers"]["x-amzn-lambda-context"])
    assert known["aws_request_id"] == told["request_id"]
    assert known["invoked_function_arn"] == told["invoked_function_arn"]
    assert known["deadline_ms"] == told["deadline"]
    # What stands in front of the function, and not the adapter's own connection.
    told = json.loads(event["headers"]["x-amzn-request-context"])
    assert event["requestContext"]["http"] == told["http"]
    assert event["requestContext"]["http"]["method"] == "PUT"


def test_the_adapter_waits_without_calling_the_handler(behind: Start) -> None:
    function_url = behind("handlers.secret", SECRET_HEADER="right")

    assert function_url.ask(headers={"X-Secret-Header": "wrong"})[0] == 403
    assert function_url.ask(headers=SECRET) == (200, b"one,two")
    assert [line["event"] for line in function_url.function.events] == ["serving", "refused"]


@pytest.mark.parametrize("handler", ["fails", "splits"])
def test_a_handler_that_fails_is_a_502(behind: Start, handler: str) -> None:
    status, body = behind(f"handlers.{handler}").ask()

    assert status == 502
    assert json.loads(body)["error"]["code"] == "handler_failed"


@pytest.mark.parametrize(
    ("handler", "method"), [("endless", "HEAD"), ("empty", "GET"), ("empty", "POST")]
)
def test_an_answer_without_a_body_does_not_hang(behind: Start, handler: str, method: str) -> None:
    assert behind(f"handlers.{handler}").ask(method) == (200, b"")


def test_an_object_comes_whole_and_in_parts(behind: Start, s3: Any, emulator: str) -> None:
    body = os.urandom(6 << 20)
    s3.put_object(Bucket="exports", Key="orders.csv", Body=body)
    function_url = behind(
        "app.handler",
        root=FUNCTION,
        SECRET_HEADER="right",
        EXPORT_BUCKET="exports",
        EXPORT_KEY="orders.csv",
        AWS_ENDPOINT_URL_S3=emulator,
    )

    whole = function_url.open(headers=SECRET)
    came = whole.read()
    part = function_url.open(
        headers=SECRET | {"Range": "bytes=5-9", "If-Range": whole.headers["etag"]}
    )
    known = function_url.ask(headers=SECRET | {"If-None-Match": whole.headers["etag"]})

    assert hashlib.sha256(came).digest() == hashlib.sha256(body).digest()
    assert (part.status, part.read()) == (206, body[5:10])
    assert part.headers["content-range"] == f"bytes 5-9/{len(body)}"
    assert known == (304, b"")


@pytest.mark.parametrize(
    ("handler", "path", "came"),
    [
        ("breaks", "/", b"so far"),
        ("mislengthed", "/short", b"four"),
        ("mislengthed", "/long", b"four"),
    ],
)
def test_the_adapter_notices_a_body_that_breaks_off_and_writes_that_into_it(
    behind: Start, handler: str, path: str, came: bytes
) -> None:
    function_url = behind(f"handlers.{handler}")

    # What the README warns of. A server that ended such a body quietly would leave nothing at all.
    assert function_url.ask("GET", path) == (200, came + web_adapter.BROKEN)
    assert function_url.function.wait_for("body_failed")
    assert function_url.ask("GET", path)[0] == 200


@pytest.mark.slow
def test_200_mb_come_with_the_first_byte_early(behind: Start) -> None:
    function_url = behind("handlers.two_hundred_megabytes")
    begun = time.monotonic()
    answer = function_url.open()
    digest = hashlib.sha256(answer.read(1))
    first = time.monotonic() - begun
    size = 1
    while data := answer.read(1 << 20):
        digest.update(data)
        size += len(data)

    # The handler waits for two seconds behind its first piece.
    assert first < 2 < time.monotonic() - begun
    assert size == PIECES * len(PIECE) > 200 * MEGABYTE
    assert digest.digest() == hashlib.sha256(PIECE * PIECES).digest()
