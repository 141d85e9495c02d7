"""Lambda Web Adapter in front of `spillway_lambda.server`: a stand-in, and the real one.

The stand-in sends what the real one (0.9.1) was seen to send, and hands on what it was seen to hand
on. No package registry has the adapter: where `SPILLWAY_TESTS_WEB_ADAPTER` names its program,
each test runs through both, and the stand-in is held to it.
"""

import contextlib
import http.client
import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.functions import third_party

REAL = os.environ.get("SPILLWAY_TESTS_WEB_ADAPTER", "")
HEALTH = "/healthz"
SETTINGS = {"AWS_LWA_INVOKE_MODE": "response_stream", "AWS_LWA_READINESS_CHECK_PATH": HEALTH}
# What the adapter appends to a body that broke off: it takes its trailers for data.
BROKEN = (
    b"Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n"
    b"Lambda-Runtime-Function-Error-Body: ZXJyb3IgcmVhZGluZyBhIGJvZHkgZnJvbSBjb25uZWN0aW9u\r\n"
)
DEADLINE = 4_102_444_800_000


def environment(api: str, port: int) -> dict[str, str]:
    """What the real one is told of a Runtime API at `api`, and of the server."""
    return SETTINGS | {
        # It asks for work at the first, and is an extension at the second, without its scheme.
        "AWS_LWA_LAMBDA_RUNTIME_API_PROXY": api,
        "AWS_LAMBDA_RUNTIME_API": api.removeprefix("http://"),
        "AWS_LWA_PORT": str(port),
        "AWS_LAMBDA_FUNCTION_NAME": "export",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/export",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/02/[7]1",
    }


@contextlib.contextmanager
def real(api: str, port: int, log: Path) -> Iterator[str]:
    """A function URL whose function is the adapter, with `port` behind it."""
    with third_party.running([REAL], log, environment(api, port)):
        yield f"http://{urlsplit(api).netloc}"


@contextlib.contextmanager
def stand_in(port: int) -> Iterator[str]:
    """The same without the adapter: the requests that it makes, and what it does with answers."""
    with _StandIn(port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _StandIn(ThreadingHTTPServer):
    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _FunctionUrl)
        # One invocation after another, on a connection that is kept where the server keeps it.
        self.lock = threading.Lock()
        self.pool = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.ready = False

    def wait(self) -> None:
        """As in Lambda's init: any status below 500 will do, asked for every 10 ms."""
        while not self.ready:
            try:
                self.pool.request("GET", HEALTH)
                with self.pool.getresponse() as answer:
                    self.ready = answer.status < 500
            except OSError:
                self.pool.close()
                time.sleep(0.01)

    def server_close(self) -> None:
        self.pool.close()
        super().server_close()


class _FunctionUrl(BaseHTTPRequestHandler):
    server: _StandIn
    protocol_version = "HTTP/1.1"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._invoke
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its parent's name
        pass

    def _invoke(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        with self.server.lock:
            self.server.wait()
            pool = self.server.pool
            pool.request(self.command, self.path, body or None, headers=_fields(self))
            self._hand_on(pool.getresponse())

    def _hand_on(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "content-length", "connection"}:
                self.send_header(name.lower(), value)
        bodiless = self.command == "HEAD" or answer.status in {204, 304}
        self.send_header("connection", "close")
        if not bodiless:
            self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in _pieces(answer):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if not bodiless:
            self.wfile.write(b"0\r\n\r\n")


def _fields(request: BaseHTTPRequestHandler) -> dict[str, str]:
    """The event's header fields, by lower-case names, and the two that the adapter writes."""
    http = {"method": request.command, "path": request.path, "sourceIp": "192.0.2.7"}
    invocation = {"request_id": "request-1", "deadline": DEADLINE, "invoked_function_arn": "arn"}
    return {name.lower(): value for name, value in request.headers.items()} | {
        "x-amzn-request-context": json.dumps({"http": http, "requestId": "request-1"}),
        "x-amzn-lambda-context": json.dumps(invocation | {"env_config": {"memory": 512}}),
    }


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    with contextlib.suppress(OSError, http.client.HTTPException):
        while piece := answer.read1(1 << 16):
            yield piece
        # The end of the connection, before the length was reached, is no error to this client.
        if not answer.length:
            return
    yield BROKEN
