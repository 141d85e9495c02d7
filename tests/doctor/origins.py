"""A plain HTTP origin that can be broken and mended, and says when it is asked."""

import http.server
import threading
from collections.abc import Callable
from typing import Any


class Origin:
    """Honours ranges and has an entity tag, so that the doctor finds nothing. `status`: 200."""

    def __init__(self) -> None:
        self.status = 200
        self.before: Callable[[], object] = lambda: None
        origin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                origin.before()
                if origin.status != 200:
                    self.send_response(origin.status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", "bytes 0-0/1000")
                self.send_header("ETag", '"v1"')
                self.send_header("Content-Length", "1")
                self.end_headers()
                self.wfile.write(b"a")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
                """Quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
