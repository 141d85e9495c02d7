"""Between boto3 and the sandbox: writes down what changes something, and has it go wrong."""

import http.client
import json
import socket
import struct
import threading
from collections.abc import Callable
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP = {"content-length", "transfer-encoding", "connection", "date", "server"}


class Fault(StrEnum):
    """What becomes of one changing call."""

    DENIED = "denied"
    THROTTLED = "throttled"
    LOST = "done, and its answer lost"
    KILLED_BEFORE = "the process killed before it"
    KILLED_AFTER = "the process killed after it"


class Proxy:
    """`changes` has method and path of each changing call, in their order.

    `faults` are by the number of such a call, from 0; `kill` ends the process that made it.
    """

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.changes: list[str] = []
        self.faults: dict[int, Fault] = {}
        self.kill: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def restart(self) -> None:
        """Counts from 0 again, without faults."""
        self.changes.clear()
        self.faults.clear()

    def fault(self, method: str, path: str) -> Fault | None:
        if method == "GET" or "response-streaming-invocations" in path:
            return None
        with self._lock:
            self.changes.append(f"{method} {path}")
            return self.faults.get(len(self.changes) - 1)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing: the calls are in `proxy.changes`."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy = self.server.proxy
        fault = proxy.fault(self.command, self.path)
        if fault is Fault.DENIED:
            self._refuse(403, "AccessDeniedException", body)
        elif fault is Fault.THROTTLED:
            self._refuse(429, "TooManyRequestsException", body)
        elif fault is Fault.KILLED_BEFORE:
            proxy.kill()
            self._drop()
        else:
            self._pass(body, fault)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _pass(self, body: bytes, fault: Fault | None) -> None:
        target = self.server.proxy.target
        upstream = http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if fault is Fault.KILLED_AFTER:
            self.server.proxy.kill()
        if fault is not None:
            self._drop()
            return
        fields = [pair for pair in answer.getheaders() if pair[0].lower() not in _HOP]
        self._answer(answer.status, fields, content)

    def _refuse(self, status: int, code: str, body: bytes) -> None:
        # AWS's own messages may repeat what was sent.
        said = {"message": f"{code} for {body.decode(errors='replace')}", "Type": "User"}
        fields = [("x-amzn-ErrorType", code), ("Content-Type", "application/json")]
        self._answer(status, fields, json.dumps(said).encode())

    def _answer(self, status: int, fields: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _drop(self) -> None:
        """Ends the connection with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
        self.rfile = self.wfile = _Closed()  # type: ignore[assignment]


class _Closed:
    """What is left of a connection's files."""

    closed = True

    def flush(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """It is."""
