"""An AWS that refuses whatever it is asked."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OLD = "old-" + "o" * 32
DENIED = (403, "AccessDeniedException")
MISSING = (404, "ResourceNotFoundException")


@dataclass
class RefusingAws:
    """Answers every call with an error, whose message bears what must not be repeated."""

    answer: tuple[int, str] = DENIED
    before: Callable[[], object] = lambda: None
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        aws = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                aws.calls.append(self.path)
                aws.before()
                status, code = aws.answer
                body = json.dumps({"Message": f"canary {OLD}", "__type": code}).encode()
                self.send_response(status)
                self.send_header("x-amzn-ErrorType", code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
