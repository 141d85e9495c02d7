"""The client: raw sockets, one large buffer, and no more parsing than completeness needs."""

import contextlib
import http.client
import re
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench import content

BUFFER = 1024 * 1024
# Seconds without a byte, and seconds for a whole download.
SILENCE = 15
LONGEST = 90
CHUNK_HEAD = re.compile(rb"[0-9A-Fa-f]{1,8}\r\n")


class FaultError(Exception):
    """An answer that is not the body asked for; the message says how, in a few words."""


@dataclass(frozen=True)
class Target:
    """A body that can be downloaded from a stack."""

    port: int
    path: str
    size: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    # The authority to trust, where the client itself has to speak TLS.
    authority: Path | None = None

    def request(self) -> bytes:
        """The request's bytes."""
        fields = {"Host": f"127.0.0.1:{self.port}", "Connection": "close", **self.headers}
        lines = [f"GET {self.path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
        return "\r\n".join([*lines, "", ""]).encode()


@contextlib.contextmanager
def _connected(target: Target, silence: float) -> Iterator[socket.socket]:
    sock = socket.create_connection(("127.0.0.1", target.port), timeout=silence)
    with contextlib.ExitStack() as stack:
        stack.callback(sock.close)
        if target.authority is not None:
            context = ssl.create_default_context(cafile=str(target.authority))
            sock = stack.enter_context(context.wrap_socket(sock, server_hostname="127.0.0.1"))
        else:
            # A time-out of Python's own would cost a poll for each read. Only for plain sockets:
            # with TLS, Python tries again for ever when the kernel's time is over.
            sock.settimeout(None)
            limit = struct.pack("ll", int(silence), 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        yield sock


def _translated(exc: Exception, silence: float) -> FaultError:
    if isinstance(exc, BlockingIOError | TimeoutError):
        return FaultError(f"hung: no byte for {silence:g} s")
    if isinstance(exc, http.client.HTTPException):
        return FaultError(f"not a complete answer: {type(exc).__name__}")
    return FaultError(f"connection failed: {type(exc).__name__}")


def _head(sock: socket.socket, target: Target) -> tuple[bool, bytearray]:
    """Whether the body is chunked, and what of it came along. Raises `FaultError`."""
    received = bytearray()
    while (end := received.find(b"\r\n\r\n")) < 0:
        more = sock.recv(65536)
        if not more:
            raise FaultError("closed before the head was complete")
        received += more
    first, *lines = bytes(received[:end]).lower().split(b"\r\n")
    status = first.split(b" ")[1].decode()
    if status != "200":
        raise FaultError(f"answered {status}")
    fields = {name.strip(): value.strip() for name, _, value in (x.partition(b":") for x in lines)}
    chunked = fields.get(b"transfer-encoding") == b"chunked"
    if not chunked and fields.get(b"content-length") != str(target.size).encode():
        raise FaultError("no chunks and not the right Content-Length")
    return chunked, received[end + 4 :]


def _read_body(sock: socket.socket, target: Target, begun: bytearray, *, chunked: bool) -> None:
    """The rest of a body of which `begun` is here. Raises `FaultError`."""
    deadline = time.monotonic() + LONGEST
    if chunked:
        _read_chunks(sock, target.size, begun, deadline)
    else:
        _read_length(sock, target.size - len(begun), deadline)


def _read_length(sock: socket.socket, left: int, deadline: float) -> None:
    buffer = bytearray(BUFFER)
    while left > 0:
        got = sock.recv_into(buffer)
        if not got:
            raise FaultError(f"ended {left} bytes early")
        left -= got
        if time.monotonic() > deadline:
            raise FaultError(f"not done after {LONGEST} s")
    if left < 0:
        raise FaultError(f"sent {-left} bytes too many")


class _Chunks:
    """Counts a chunked body to the byte by jumping from one chunk's head to the next."""

    def __init__(self) -> None:
        self.body = 0
        self.last = False

    def skip(self, buffer: bytearray, at: int, got: int) -> int:
        """Where the first head begins that is not whole yet, given that one begins at `at`."""
        body = 0
        while not self.last and (end := buffer.find(b"\r\n", at, got)) >= 0:
            head = bytes(buffer[at : end + 2])
            length = self._length(head)
            # Most chunks are as long as the one before. What taking them apart costs the client
            # would otherwise count against the stacks that send small ones.
            step = len(head) + length + 2
            repeated = at
            while buffer.startswith(head, repeated, got) and length:
                repeated += step
            body += (repeated - at) // step * length
            self.last = length == 0
            at = repeated + step if self.last else repeated
        self.body += body
        return at

    def _length(self, head: bytes) -> int:
        if not CHUNK_HEAD.fullmatch(head):
            raise FaultError("sent a chunk without a length")
        return int(head, 16)


def _read_chunks(sock: socket.socket, size: int, begun: bytearray, deadline: float) -> None:
    buffer = bytearray(BUFFER)
    buffer[: len(begun)] = begun
    view = memoryview(buffer)
    chunks, at, got = _Chunks(), 0, len(begun)
    while True:
        at = chunks.skip(buffer, at, got)
        if chunks.body > size or (chunks.last and (chunks.body < size or at < got)):
            raise FaultError(f"sent {chunks.body} bytes instead of {size}, or more after them")
        if chunks.last and at == got:
            return
        # The head of a chunk that has only begun goes to the front of the next piece.
        kept = max(0, got - at)
        view[:kept] = view[at : at + kept]
        at = max(0, at - got)
        more = sock.recv_into(view[kept:])
        if not more:
            raise FaultError("ended without the last chunk")
        got = kept + more
        if time.monotonic() > deadline:
            raise FaultError(f"not done after {LONGEST} s")


def fetch(target: Target, *, silence: float = SILENCE) -> float:
    """Downloads the body; the seconds from the request to the last byte.

    Raises `FaultError`, also where a single byte is missing or too many.
    """
    try:
        with _connected(target, silence) as sock:
            start = time.perf_counter()
            sock.sendall(target.request())
            chunked, begun = _head(sock, target)
            _read_body(sock, target, begun, chunked=chunked)
            return time.perf_counter() - start
    except OSError as exc:
        raise _translated(exc, silence) from exc


def fetch_together(targets: list[Target]) -> float:
    """Downloads all of them at once; the seconds until the last one is done."""
    barrier = threading.Barrier(len(targets) + 1)

    def one(target: Target) -> None:
        barrier.wait()
        fetch(target)

    pool = ThreadPoolExecutor(len(targets))
    try:
        running = [pool.submit(one, target) for target in targets]
        barrier.wait()
        start = time.perf_counter()
        for future in running:
            future.result()
        return time.perf_counter() - start
    finally:
        # After a fault or Ctrl-C the others are not waited for: they end with the stack.
        pool.shutdown(wait=False)


def first_byte(target: Target, *, silence: float = SILENCE) -> float:
    """Seconds from the request, on a connection made before, to the body's first byte."""
    try:
        with _connected(target, silence) as sock:
            start = time.perf_counter()
            sock.sendall(target.request())
            chunked, begun = _head(sock, target)
            if not begun:
                begun += sock.recv(65536)
            took = time.perf_counter() - start
            _read_body(sock, target, begun, chunked=chunked)
            return took
    except OSError as exc:
        raise _translated(exc, silence) from exc


def check(target: Target, *, silence: float = SILENCE) -> None:
    """Downloads the body and compares length and checksum. Raises `FaultError`."""
    context = None
    if target.authority is not None:
        context = ssl.create_default_context(cafile=str(target.authority))
    connection = (
        http.client.HTTPSConnection("127.0.0.1", target.port, timeout=silence, context=context)
        if context
        else http.client.HTTPConnection("127.0.0.1", target.port, timeout=silence)
    )
    size = crc = 0
    try:
        connection.request("GET", target.path, headers={"Connection": "close", **target.headers})
        response = connection.getresponse()
        if response.status != 200:
            raise FaultError(f"answered {response.status}")
        while data := response.read(256 * 1024):
            size += len(data)
            crc = zlib.crc32(data, crc)
    except (OSError, http.client.HTTPException) as exc:
        raise _translated(exc, silence) from exc
    finally:
        connection.close()
    if size != target.size:
        raise FaultError(f"sent {size} bytes instead of {target.size}")
    if crc != content.checksum(target.size):
        raise FaultError("sent other bytes than the origin")
