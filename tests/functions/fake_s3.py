"""S3 by hand, for what no emulator does: dying, replacing, lying, refusing in its own words."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """A request, with its field names in lower case."""

    method: str
    headers: dict[str, str]


Script = Callable[[Asked], bytes]


@dataclass
class FakeS3:
    """Sends what its script says to each request, byte by byte, and ends the connection."""

    script: Script = field(default=lambda asked: b"")
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        # Wakes the thread out of accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            # The client leaves early in some tests.
            with sock, contextlib.suppress(OSError):
                sock.settimeout(10)
                asked = _read(sock)
                self.asked.append(asked)
                sock.sendall(self.script(asked))


def _read(sock: socket.socket) -> Asked:
    head = b""
    while b"\r\n\r\n" not in head:
        got = sock.recv(65536)
        if not got:
            raise ConnectionError("no request")
        head += got
    request, *lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    fields = (line.split(":", 1) for line in lines)
    return Asked(request.split(" ")[0], {name.lower(): value.strip() for name, value in fields})


def answer(status: str, body: bytes = b"", **fields: str) -> bytes:
    """An answer; `body` is not what Content-Length says, where a test gives its own."""
    fields = {name.replace("_", "-"): value for name, value in fields.items()}
    fields = {"Content-Length": str(len(body)), "Connection": "close"} | fields
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def object_answer(body: bytes, *, etag: str, status: str = "200 OK", **fields: str) -> bytes:
    return answer(
        status,
        body,
        **{"ETag": etag, "Last_Modified": "Mon, 02 Nov 2026 10:00:00 GMT"} | fields,
    )


def error_answer(status: str, code: str, message: str = "") -> bytes:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return answer(status, body.encode(), Content_Type="application/xml")


@contextlib.contextmanager
def listening() -> Iterator[FakeS3]:
    fake = FakeS3()
    try:
        yield fake
    finally:
        fake.close()
