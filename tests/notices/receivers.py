"""A webhook's receiver and a mail server, on loopback, that do what a test says."""

import contextlib
import email
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Posted:
    """A request that came."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """Takes what is posted. `answers` are given one after the other, and then 204 for ever."""

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    # Called when a request has come whole, before it is answered.
    before: Callable[[], object] = lambda: None
    posts: list[Posted] = field(default_factory=list)

    def __post_init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                fields = {name.lower(): value for name, value in self.headers.items()}
                receiver.posts.append(Posted(self.path, fields, self.rfile.read(size)))
                receiver.before()
                status, told = receiver.answers.pop(0) if receiver.answers else (204, {})
                body = b"" if status == 204 else b"canary-of-the-receiver"
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in told.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def do_GET(self) -> None:
                raise AssertionError("a notice is posted")

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks?room=4"
        # Short, so that tests do not wait for its farewell.
        serve = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        serve.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Mailed:
    """A mail that the server has taken."""

    sender: str
    recipients: list[str]
    message: EmailMessage


@dataclass
class MailServer:
    """Speaks as much of SMTP (RFC 5321) as a client of Django's does.

    `replies` replaces the answer to a command, such as `RCPT TO:<ben@example.com>`, by its
    beginning. `silent` says nothing at all.
    """

    replies: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    mails: list[Mailed] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as lines, contextlib.suppress(OSError):
            if self.silent:
                lines.readline()
                return
            _say(sock, "220 loopback")
            sender, recipients = "", []
            while line := lines.readline().decode().strip():
                reply = self._reply(line)
                verb = line[:4].upper()
                if verb == "MAIL":
                    sender = _address(line)
                elif verb == "RCPT" and reply.startswith("250"):
                    recipients.append(_address(line))
                _say(sock, reply)
                if verb == "DATA" and reply.startswith("354"):
                    data = _data(lines)
                    reply = self.replies.get(".", "250 taken")
                    if reply.startswith("250"):
                        message = email.message_from_bytes(data, policy=default)
                        self.mails.append(Mailed(sender, list(recipients), message))
                    _say(sock, reply)
                elif verb == "QUIT":
                    return

    def _reply(self, line: str) -> str:
        for beginning, reply in self.replies.items():
            if line.upper().startswith(beginning.upper()):
                return reply
        return {"DATA": "354 go on", "QUIT": "221 bye"}.get(line[:4].upper(), "250 OK")


def _say(sock: socket.socket, reply: str) -> None:
    sock.sendall(f"{reply}\r\n".encode())


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]


def _data(lines: Any) -> bytes:
    held = []
    while (line := lines.readline()) not in {b".\r\n", b""}:
        held.append(line.removeprefix(b"."))
    return b"".join(held)


def until(condition: Callable[[], object], seconds: float = 5) -> bool:
    """Waits for what happens soon; False where it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
