"""The same handlers over plain HTTP: behind Lambda Web Adapter, on ECS, or on any machine.

`python3 -m spillway_lambda.server app.handler` serves on `AWS_LWA_PORT`, `PORT` or 8080, and
answers `/healthz` itself. One thread a connection, one request a connection. It speaks no TLS: put
a load balancer or the portal's private network in front.
"""

import argparse
import base64
import json
import os
import re
import secrets
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from spillway_lambda import answering
from spillway_lambda.answering import BODILESS, Begun
from spillway_lambda.invocation import Context, Event, Invocation
from spillway_lambda.loading import load_handler
from spillway_lambda.logs import log, report_of
from spillway_lambda.streaming import Handler, Head, HttpError

HEALTH = "/healthz"
# In seconds: of a slow request head, and of a client that takes nothing of a piece.
PATIENCE = 120
# As on Lambda.
LARGEST_BODY = 6 * 1024 * 1024

# Where Lambda Web Adapter tells of an invocation, as JSON.
LAMBDA_CONTEXT = "x-amzn-lambda-context"
REQUEST_CONTEXT = "x-amzn-request-context"

# What belongs to a connection is for the server to say.
OURS = {"connection", "keep-alive", "trailer", "transfer-encoding", "upgrade", "date", "server"}
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# Closes with RST: the end of the connection would be a proper end of the body otherwise.
_ABORT = struct.pack("ii", 1, 0)


class BadLengthError(Exception):
    """The body is longer or shorter than the handler's Content-Length."""


class Server(ThreadingHTTPServer):
    """Serves one handler. `stop` ends it when the responses that are under way have ended."""

    daemon_threads = False
    # A parallel download connects many times at once.
    request_queue_size = 128

    def __init__(self, handler: Handler, *, host: str = "0.0.0.0", port: int = 8080) -> None:  # noqa: S104 - as containers are reached
        self.handler = handler
        super().__init__((host, port), _Connection)

    def stop(self) -> None:
        # Of a thread of its own: it waits for the loop that may be running in this one.
        threading.Thread(target=self.shutdown).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log("connection_failed", **report_of(sys.exception() or Exception()))


class _Connection(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "spillway-lambda"
    sys_version = ""
    timeout = PATIENCE

    def handle_one_request(self) -> None:
        super().handle_one_request()
        self.close_connection = True

    def __getattr__(self, name: str) -> Any:
        # Any method: what may be done is for the handler to say.
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its parent's name
        """Requests are logged by whatever stands in front, and by the handler."""

    def _serve(self) -> None:
        if self.path.partition("?")[0] == HEALTH:
            self._send_head(Head(200, {"Content-Type": "text/plain", "Content-Length": "3"}))
            self.wfile.write(b"" if self.command == "HEAD" else b"ok\n")
            return
        request_id = _told(self, LAMBDA_CONTEXT).get("request_id") or secrets.token_hex(16)
        begun = self._begin(request_id)
        try:
            self._send(begun, request_id)
        finally:
            answering.close(begun.pieces, request_id)

    def _begin(self, request_id: str) -> Begun:
        """The answer, or the small one that says why there is none. Sends nothing."""

        def refusing(event: Event, context: Context) -> Any:
            raise refusal

        invocation = Invocation(event_of(self, b"", request_id), context_of(self, request_id))
        try:
            body = self._body()
            invocation = Invocation(event_of(self, body, request_id), invocation.context)
            return _sendable(answering.begin(self.server.handler, invocation), request_id)
        except HttpError as exc:
            refusal = exc
        except Exception as exc:  # noqa: BLE001 - the 502 that Lambda would answer
            log("invocation_failed", request_id=request_id, **report_of(exc))
            refusal = HttpError(502, "handler_failed", "The function failed.")
        return answering.begin(refusing, invocation)

    def _body(self) -> bytes:
        if "transfer-encoding" in self.headers:
            raise HttpError(411, "length_required", "Send the body with its Content-Length.")
        stated = self.headers.get("content-length", "0")
        if not (stated.isascii() and stated.isdecimal()):
            raise HttpError(400, "bad_length", "Content-Length is not a number.")
        if int(stated) > LARGEST_BODY:
            raise HttpError(413, "body_too_large", "A request's body has 6 MiB at most.")
        return self.rfile.read(int(stated))

    def _send(self, begun: Begun, request_id: str) -> None:
        head = begun.head
        bodiless = self.command == "HEAD" or head.status in BODILESS
        length = None if bodiless else _length(head)
        chunked = not bodiless and length is None and self.request_version >= "HTTP/1.1"
        try:
            self._send_head(head, chunked=chunked)
            for piece in _of_length(begun.pieces, length):
                if piece:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                self.wfile.write(b"0\r\n\r\n")
        except OSError as exc:
            # Of the client, or of what the handler reads from: cut in either case.
            log("cut", request_id=request_id, reason=type(exc).__name__)
            self._abort()
        except Exception as exc:  # noqa: BLE001 - whatever the handler raises is told
            log("body_failed", request_id=request_id, **report_of(exc))
            self._abort()

    def _send_head(self, head: Head, *, chunked: bool = False) -> None:
        self.send_response(head.status)
        for name, value in head.headers.items():
            if name.lower() not in OURS:
                self.send_header(name, str(value))
        for cookie in head.cookies:
            self.send_header("Set-Cookie", cookie)
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()

    def _abort(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.connection.close()


def event_of(request: BaseHTTPRequestHandler, body: bytes, request_id: str) -> Event:
    """The event that a function URL would make of the request (payload format 2.0)."""
    path, _, query = request.path.partition("?")
    fields: dict[str, str] = {}
    for name, value in request.headers.items():
        known = fields.get(name.lower())
        fields[name.lower()] = value if known is None else f"{known},{value}"
    cookies = fields.pop("cookie", "")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path or "/",
        "rawQueryString": query,
        "headers": fields,
        "requestContext": _request_context(request, fields, request_id)
        | _told(request, REQUEST_CONTEXT),
        "isBase64Encoded": bool(body),
    }
    if cookies:
        event["cookies"] = [cookie.strip() for cookie in cookies.split(";")]
    if query:
        event["queryStringParameters"] = _parameters(query)
    if body:
        event["body"] = base64.b64encode(body).decode()
    return event


def _request_context(
    request: BaseHTTPRequestHandler, fields: Mapping[str, str], request_id: str
) -> dict[str, Any]:
    now = time.time()
    return {
        "domainName": fields.get("host", ""),
        "http": {
            "method": request.command,
            "path": request.path.partition("?")[0] or "/",
            "protocol": request.request_version,
            "sourceIp": request.client_address[0],
            "userAgent": fields.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }


def _parameters(query: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def context_of(request: BaseHTTPRequestHandler, request_id: str) -> Context:
    """What the adapter tells of the invocation. Elsewhere nobody ends a response: 15 minutes."""
    told = _told(request, LAMBDA_CONTEXT)
    return Context(
        aws_request_id=request_id,
        invoked_function_arn=told.get("invoked_function_arn") or "",
        deadline_ms=told.get("deadline") or int((time.time() + 900) * 1000),
        function_name=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        function_version=os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
        memory_limit_in_mb=os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", ""),
    )


def _told(request: BaseHTTPRequestHandler, field: str) -> dict[str, Any]:
    """What Lambda Web Adapter tells of the invocation in `field`; empty without an adapter.

    Anybody can send such a field. It counts on Lambda alone, where the adapter is the only one who
    connects and writes it anew.
    """
    if not os.environ.get("AWS_LAMBDA_RUNTIME_API"):
        return {}
    try:
        # The adapter writes UTF-8, and a header is read as Latin-1.
        told = json.loads(request.headers.get(field, "").encode("latin-1"))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _sendable(begun: Begun, request_id: str) -> Begun:
    """Raises `ValueError` for what would be more than one header field, or none."""
    try:
        for name, value in begun.head.headers.items():
            _check(name, str(value))
        for cookie in begun.head.cookies:
            _check("Set-Cookie", cookie)
        _length(begun.head)
    except ValueError:
        answering.close(begun.pieces, request_id)
        raise
    return begun


def _check(name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"The header field {name!r} cannot be sent.")


def _length(head: Head) -> int | None:
    for name, value in head.headers.items():
        if name.lower() == "content-length":
            return int(value)
    return None


def _of_length(pieces: Iterator[bytes], length: int | None) -> Iterator[bytes]:
    """The pieces. Raises `BadLengthError` where they are not `length` bytes, and gives no more."""
    came = 0
    for piece in pieces:
        came += len(piece)
        if length is not None and came > length:
            raise BadLengthError(f"the body is longer than {length} bytes")
        yield piece
    if length is not None and came < length:
        raise BadLengthError(f"the body has {came} of {length} bytes")


def _port() -> str:
    # In the adapter's own order, so that it finds this server.
    return os.environ.get("AWS_LWA_PORT") or os.environ.get("PORT") or "8080"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python3 -m spillway_lambda.server", description="Serves a handler over plain HTTP."
    )
    parser.add_argument("handler", help="module.function, as a function's setting has it")
    parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - as containers are reached
    parser.add_argument("--port", type=int, default=_port())
    chosen = parser.parse_args(arguments)
    handler = load_handler(chosen.handler, os.environ.get("LAMBDA_TASK_ROOT") or ".")
    # Closing it waits for the threads that still answer.
    with Server(handler, host=chosen.host, port=chosen.port) as server:
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        signal.signal(signal.SIGINT, lambda *_: server.stop())
        log("serving", port=server.server_port)
        server.serve_forever()


if __name__ == "__main__":
    main()
