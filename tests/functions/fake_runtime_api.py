"""Lambda's Runtime API by hand: a listening socket whose test reads and writes every byte."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SECONDS = 10.0
PREFIX = "/2018-06-01/runtime"


class Connection:
    """One connection of the runtime, with the request on it, of which the head is read."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.raw = bytearray()
        self._unread = bytearray()
        head = self.until(b"\r\n\r\n")
        request, *lines = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
        self.method, self.path, self.protocol = request.split(" ")
        self.headers = dict(line.split(": ", 1) for line in lines)
        self.raw.clear()

    def until(self, end: bytes) -> bytes:
        """All up to and including `end`. Raises EOFError where the connection ends before."""
        while end not in self._unread:
            self._receive()
        return self._take(self._unread.index(end) + len(end))

    def exactly(self, count: int) -> bytes:
        while len(self._unread) < count:
            self._receive()
        return self._take(count)

    def reply(self, status: str, body: bytes = b"", **headers: str) -> None:
        """Answers, and ends the connection."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        fields |= {"Content-Length": str(len(body)), "Connection": "close"}
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        self.sock.close()

    def hang_up(self) -> None:
        self.sock.close()

    def _receive(self) -> None:
        got = self.sock.recv(1 << 20)
        if not got:
            raise EOFError
        self._unread += got

    def _take(self, count: int) -> bytes:
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        self.raw += taken
        return taken


@dataclass
class Sent:
    """A response as it came: every byte after the head, and what they mean."""

    headers: dict[str, str]
    raw: bytes
    chunks: list[bytes] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)

    @property
    def prelude(self) -> Any:
        return json.loads(b"".join(self.chunks).split(b"\0" * 8, 1)[0])

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks).split(b"\0" * 8, 1)[1]


class FakeRuntimeApi:
    """Each method takes the runtime's next connection, and fails the test if it is another call."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Little room in the kernel, so that a runtime that is not read is soon held back.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 512 * 1024)
        self._listener.settimeout(SECONDS)
        self._open: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        for sock in (self._listener, *self._open):
            sock.close()

    def accept(self) -> Connection:
        sock, _ = self._listener.accept()
        sock.settimeout(SECONDS)
        self._open.append(sock)
        return Connection(sock)

    def next(self) -> Connection:
        """The runtime's request for work."""
        connection = self.accept()
        assert (connection.method, connection.path) == ("GET", f"{PREFIX}/invocation/next")
        return connection

    def invoke(self, event: object = None, *, request_id: str = "request-1", **more: str) -> None:
        """Gives the runtime work."""
        self.next().reply(
            "200 OK",
            json.dumps({} if event is None else event).encode(),
            Content_Type="application/json",
            Lambda_Runtime_Aws_Request_Id=request_id,
            Lambda_Runtime_Deadline_Ms=str(int((time.time() + 60) * 1000)),
            Lambda_Runtime_Invoked_Function_Arn="arn:aws:lambda:eu-central-1:1:function:export",
            **more,
        )

    def begun(self, *, request_id: str = "request-1") -> Connection:
        """The runtime's response, of which the head is read."""
        connection = self.accept()
        expected = ("POST", f"{PREFIX}/invocation/{request_id}/response", "HTTP/1.1")
        assert (connection.method, connection.path, connection.protocol) == expected
        return connection

    def response(self, *, request_id: str = "request-1", status: str = "202 Accepted") -> Sent:
        """The runtime's whole response, read to its end and answered."""
        connection = self.begun(request_id=request_id)
        chunks = list(read_chunks(connection))
        trailers = {}
        while (line := connection.until(b"\r\n")) != b"\r\n":
            name, value = line.decode("ascii").removesuffix("\r\n").split(": ", 1)
            trailers[name] = value
        connection.reply(status)
        return Sent(connection.headers, bytes(connection.raw), chunks, trailers)

    def answer_to(self, event: object = None, **more: str) -> Sent:
        """Gives work and reads the response."""
        self.invoke(event, **more)
        return self.response()

    def error(self, path: str, *, status: str = "202 Accepted") -> tuple[dict[str, str], Any]:
        """The head and the report of an error that the runtime posts to `path`."""
        connection = self.accept()
        assert (connection.method, connection.path) == ("POST", PREFIX + path)
        report = json.loads(connection.exactly(int(connection.headers["Content-Length"])))
        connection.reply(status)
        return connection.headers, report


def read_chunks(connection: Connection) -> Iterator[bytes]:
    """The chunks up to the last one, whose line is read too; the trailers are not."""
    while True:
        line = connection.until(b"\r\n")
        assert re.fullmatch(rb"[0-9a-f]+\r\n", line), line
        size = int(line, 16)
        if size == 0:
            return
        chunk = connection.exactly(size)
        assert connection.exactly(2) == b"\r\n"
        yield chunk


@contextlib.contextmanager
def listening() -> Iterator[FakeRuntimeApi]:
    api = FakeRuntimeApi()
    try:
        yield api
    finally:
        api.close()
