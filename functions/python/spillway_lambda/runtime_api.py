"""The client of Lambda's Runtime API (2018-06-01), with streamed responses.

Written on a plain socket where the response goes out: a write that blocks because nobody reads is
what holds the handler back.
"""

import base64
import http.client
import json
import os
import socket
from collections.abc import Iterator
from email.message import Message
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from spillway_lambda.invocation import Context, Invocation
from spillway_lambda.logs import log, report_of

PREFIX = "/2018-06-01/runtime"
CONTENT_TYPE = "application/vnd.awslambda.http-integration-response"
ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
ERROR_BODY = "Lambda-Runtime-Function-Error-Body"

REPORT_SECONDS = 10
# What is left to read when a write has failed is here already, or never will be.
REFUSAL_SECONDS = 0.5


class RuntimeApiError(Exception):
    """The Runtime API did not do what it should."""


class PlatformGoneError(RuntimeApiError):
    """It ended the connection."""


class ResponseRefusedError(RuntimeApiError):
    """It did not accept the response; 413 says that it was too large."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the Runtime API answered {status}")
        self.status = status


class RuntimeApi:
    """The Runtime API at `address`: host:port, and of emulators a path below which it is."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(f"//{address.removeprefix('http://')}")
        self._peer = (parts.hostname or "", parts.port or 80)
        self._host = parts.netloc
        self._prefix = parts.path.rstrip("/") + PREFIX

    def next(self) -> Invocation:
        """Waits, without a limit, for the next invocation. Raises `RuntimeApiError`."""
        try:
            answer, body = self._call("GET", "/invocation/next", seconds=None)
            if answer.status != HTTPStatus.OK:
                raise RuntimeApiError(f"the Runtime API answered {answer.status}")
            return Invocation(json.loads(body), _context(answer.headers))
        except (OSError, http.client.HTTPException, KeyError, ValueError) as exc:
            raise RuntimeApiError(f"no invocation: {type(exc).__name__}") from exc

    def init_error(self, exc: BaseException) -> None:
        """Reports that the handler could not be loaded."""
        self._report("/init/error", exc)

    def invocation_error(self, request_id: str, exc: BaseException) -> None:
        """Reports a failure before the first byte; once that is sent, only trailers can."""
        self._report(f"/invocation/{request_id}/error", exc)

    def stream(self, request_id: str, pieces: Iterator[bytes]) -> None:
        """Sends a response, prelude included, as it is made.

        What the iterator raises goes into the trailers. Raises `PlatformGoneError` and
        `ResponseRefusedError`.
        """
        try:
            with socket.create_connection(self._peer) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    sock.sendall(self._response_head(request_id))
                    _send_body(sock, pieces, request_id)
                except OSError:
                    sock.settimeout(REFUSAL_SECONDS)
                    _read_acceptance(sock)
                    raise
                _read_acceptance(sock)
        except (OSError, http.client.HTTPException) as exc:
            raise PlatformGoneError(type(exc).__name__) from exc

    def _response_head(self, request_id: str) -> bytes:
        fields = {
            "Host": self._host,
            "Content-Type": CONTENT_TYPE,
            "Lambda-Runtime-Function-Response-Mode": "streaming",
            "Transfer-Encoding": "chunked",
            "Trailer": f"{ERROR_TYPE}, {ERROR_BODY}",
        }
        lines = [f"POST {self._prefix}/invocation/{request_id}/response HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    def _report(self, path: str, exc: BaseException) -> None:
        report = report_of(exc)
        fields = {"Content-Type": "application/json", ERROR_TYPE: report["errorType"]}
        try:
            body = json.dumps(report).encode()
            answer, _ = self._call("POST", path, body, fields, seconds=REPORT_SECONDS)
        except (OSError, http.client.HTTPException) as gone:
            log("error_not_reported", path=path, reason=type(gone).__name__)
            return
        if not _accepted(answer.status):
            log("error_not_reported", path=path, status=answer.status)

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        fields: dict[str, str] | None = None,
        *,
        seconds: float | None,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(*self._peer, timeout=seconds)
        try:
            connection.request(method, self._prefix + path, body, fields or {})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()


def _context(fields: Message) -> Context:
    # The X-Ray SDK looks for the trace here.
    os.environ["_X_AMZN_TRACE_ID"] = fields.get("Lambda-Runtime-Trace-Id", "")
    request_id = fields["Lambda-Runtime-Aws-Request-Id"]
    if not request_id:
        raise KeyError("Lambda-Runtime-Aws-Request-Id")
    return Context(
        aws_request_id=request_id,
        invoked_function_arn=fields.get("Lambda-Runtime-Invoked-Function-Arn", ""),
        deadline_ms=int(fields.get("Lambda-Runtime-Deadline-Ms", "0")),
        function_name=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
        function_version=os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
        memory_limit_in_mb=os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", ""),
    )


def _send_body(sock: socket.socket, pieces: Iterator[bytes], request_id: str) -> None:
    """The chunks, the last chunk, and trailers where the iterator raised."""
    while True:
        try:
            piece = next(pieces, None)
            chunk = b"" if piece is None else _chunk(piece)
        except Exception as exc:  # noqa: BLE001 - whatever the handler raises is reported
            report = report_of(exc)
            log("body_failed", request_id=request_id, **report)
            sock.sendall(b"0\r\n" + _trailers(report) + b"\r\n")
            return
        if piece is None:
            sock.sendall(b"0\r\n\r\n")
            return
        sock.sendall(chunk)


def _chunk(piece: bytes) -> bytes:
    # An empty chunk would end the body.
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def _trailers(report: dict[str, Any]) -> bytes:
    body = base64.b64encode(json.dumps(report).encode()).decode()
    return f"{ERROR_TYPE}: {report['errorType']}\r\n{ERROR_BODY}: {body}\r\n".encode("ascii")


def _read_acceptance(sock: socket.socket) -> None:
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    answer.read()
    if not _accepted(answer.status):
        raise ResponseRefusedError(answer.status)


def _accepted(status: int) -> bool:
    # Lambda says 202, and emulators say 200.
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
