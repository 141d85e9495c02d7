"""Servers on loopback that behave as a test says."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Handler = http.server.BaseHTTPRequestHandler


@contextmanager
def serving(answer: Callable[[Handler], None]) -> Iterator[str]:
    """The URL of a server that gives each request to `answer`."""

    class Scripted(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # Whoever takes a sample leaves in the middle of it.
            try:
                answer(self)
            except ConnectionError:
                self.close_connection = True

        do_HEAD = do_POST = do_GET  # noqa: N815 - their names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def send(handler: Handler, status: int, body: bytes = b"", **fields: str) -> None:
    """An answer with its length; `_` in the name of a field stands for a hyphen."""
    handler.send_response(status)
    fields = {"Content_Length": str(len(body))} | fields
    for name, value in fields.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
