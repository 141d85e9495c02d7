"""Stands between boto3 and the sandbox's Secrets Manager, and has calls go wrong."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Between:
    """`denied` are operations that are refused, `lost` those whose next answer goes astray."""

    target: str
    url: str = ""
    denied: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    def answer(self, operation: str, body: bytes, headers: Any) -> tuple[int, bytes] | None:
        """None: the connection is cut without one."""
        self.calls.append(operation)
        if operation in self.denied:
            # As bad as it could be: a message that repeats what was sent.
            told = {"__type": "AccessDeniedException", "Message": body.decode()}
            return 400, json.dumps(told).encode()
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=30)
        try:
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            answer = response.status, response.read()
        finally:
            connection.close()
        if operation in self.lost:
            self.lost.discard(operation)
            return None
        return answer


@contextlib.contextmanager
def between(target: str) -> Iterator[Between]:
    """Runs one, on a port of its own."""
    made = Between(target)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = made.answer(operation, body, dict(self.headers))
            self.close_connection = True
            if answer is None:
                return
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *args: Any) -> None:
            """Nothing on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
