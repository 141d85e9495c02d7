"""An origin that does exactly what a test says, byte by byte."""

import array
import contextlib
import fcntl
import itertools
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

PATIENCE = 20.0


@dataclass(frozen=True)
class Request:
    """A request head as it came."""

    line: str
    headers: list[tuple[str, str]]

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    def values(self, name: str) -> list[str]:
        return [value for given, value in self.headers if given.lower() == name.lower()]


class Connection:
    """The origin's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sent = 0

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)
        self.sent += len(data)

    def reset(self) -> None:
        """Ends with RST, not FIN, after what was sent has arrived: the kernel would drop it."""
        until = time.monotonic() + PATIENCE / 4
        while self._unacknowledged() and time.monotonic() < until:
            time.sleep(0.001)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _unacknowledged(self) -> int:
        """Bytes that the peer's kernel does not have yet: SIOCOUTQ (tcp(7)), of the same number."""
        held = array.array("i", [0])
        fcntl.ioctl(self.sock, termios.TIOCOUTQ, held)
        return held[0]

    def wait_for_peer_to_leave(self, seconds: float = PATIENCE) -> None:
        """Returns when the portal has closed this connection. Raises `TimeoutError`."""
        self.sock.settimeout(seconds)
        with contextlib.suppress(ConnectionError):
            while self.sock.recv(65536):
                pass

    def pour(self, total: int, piece: bytes = b"x" * 65536) -> None:
        """Sends up to `total` bytes of body, or until the peer has gone."""
        while self.sent < total:
            self.send(piece[: total - self.sent])


Script = Callable[[Request, Connection], None]


@dataclass
class Case:
    """One behaviour under one name, and what was seen of it."""

    name: str
    script: Script
    requests: list[Request] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    left_at: float = 0.0


class Origin:
    """Serves each request by the script that its `case` parameter names."""

    def __init__(self) -> None:
        self._cases: dict[str, Case] = {}
        # Requests that name no case.
        self.stray = Case("", _not_found)
        self._numbers = itertools.count()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/file"

    def on(self, script: Script) -> Case:
        """Makes a case of `script`; ask for it with `?case=<name>`."""
        case = Case(f"case{next(self._numbers)}", script)
        self._cases[case.name] = case
        return case

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        with sock, contextlib.suppress(OSError):
            for request in _requests(sock):
                names = parse_qs(urlsplit(request.target).query).get("case", [""])
                case = self._cases.get(names[0]) or self.stray
                connection = Connection(sock)
                case.requests.append(request)
                case.connections.append(connection)
                try:
                    case.script(request, connection)
                except (BrokenPipeError, ConnectionError):
                    case.left_at = time.monotonic()
                    case.left.set()
                    return
                if sock.fileno() < 0:
                    return


def _not_found(_: Request, connection: Connection) -> None:
    connection.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def _requests(sock: socket.socket) -> Iterator[Request]:
    held = b""
    while True:
        while b"\r\n\r\n" not in held:
            data = sock.recv(65536)
            if not data:
                return
            held += data
        head, _, held = held.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        pairs = [field.partition(":") for field in fields]
        yield Request(line, [(name, value.strip()) for name, _, value in pairs])


def replying(*parts: bytes, keep_open: bool = False) -> Script:
    """Sends `parts` one after the other and closes, unless `keep_open`."""

    def script(_: Request, connection: Connection) -> None:
        for part in parts:
            connection.send(part)
            time.sleep(0.05 if len(parts) > 1 else 0)
        if not keep_open:
            connection.sock.close()

    return script


def length(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """A whole response with `Content-Length`."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def head(*fields: str, status: str = "200 OK") -> bytes:
    """A head with just these fields."""
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode("latin-1")


def chunks(*pieces: bytes, last: bytes = b"0\r\n\r\n") -> bytes:
    """A chunked body; an empty `last` leaves it unfinished."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + last
