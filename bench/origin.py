"""The origin that every stack relays: `/length/<bytes>` and `/chunked/<bytes>`, plain and TLS.

`?version=<number>` gives the same bytes under another entity tag.

A thread for each connection, which sends one prepared megabyte again and again: `sendall` and the
encryption leave the interpreter's lock alone, so that it is never the slowest part.

Run as `python -m bench.origin CHAIN KEY`; prints its two ports as JSON on the first line.
"""

import contextlib
import json
import re
import signal
import socket
import ssl
import sys
import threading

from bench import content

REQUEST = re.compile(rb"GET /(length|chunked)/([0-9]+)(?:\?version=([0-9]+))? HTTP/1\.[01]\r\n")
HEAD_LIMIT = 64 * 1024
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: application/octet-stream\r\n"
    b'ETag: "%d-%b"\r\n'
    b"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
    b"Cache-Control: no-store\r\n"
    b"%s\r\n\r\n"
)


class Bodies:
    """Whole bodies as sequences of prepared pieces."""

    def __init__(self) -> None:
        self._content = content.piece()
        self._framed = content.chunked(self._content)

    def pieces(self, size: int, *, chunked: bool) -> tuple[bytes, int, bytes]:
        """A block, how often it is repeated, and what follows."""
        rest = self._content[: size % content.PIECE]
        times = size // content.PIECE
        if chunked:
            return self._framed, times, content.chunked(rest) + content.LAST_CHUNK
        return self._content, times, rest


def _head(sock: socket.socket) -> bytes:
    """The next request, empty when the other end has gone."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = sock.recv(8192)
        if not more or len(received) > HEAD_LIMIT:
            return b""
        received += more
    return received


def _answer(sock: socket.socket, request: bytes, bodies: Bodies) -> None:
    match = REQUEST.match(request)
    if match is None:
        sock.sendall(NOT_FOUND)
        return
    size, chunked = int(match[2]), match[1] == b"chunked"
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    block, times, rest = bodies.pieces(size, chunked=chunked)
    head = HEAD % (size, match[3] or b"", framing)
    if not times:
        # One packet rather than two: a small answer is there to time its first byte.
        sock.sendall(head + rest)
        return
    sock.sendall(head)
    for _ in range(times):
        sock.sendall(block)
    sock.sendall(rest)


def _serve(sock: socket.socket, context: ssl.SSLContext | None, bodies: Bodies) -> None:
    # A relay that drops its connection is no failure of the origin.
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        stack.callback(sock.close)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            sock = stack.enter_context(context.wrap_socket(sock, server_side=True))
        while request := _head(sock):
            _answer(sock, request, bodies)
            if b"connection: close" in request.lower():
                break


def _accept(listener: socket.socket, context: ssl.SSLContext | None, bodies: Bodies) -> None:
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_serve, args=(sock, context, bodies), daemon=True).start()


def main(chain: str, key: str) -> None:
    """Serves until SIGTERM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    threading.stack_size(256 * 1024)
    bodies = Bodies()
    ports = {}
    for name, tls in (("plain", None), ("tls", context)):
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        ports[name] = listener.getsockname()[1]
        threading.Thread(target=_accept, args=(listener, tls, bodies), daemon=True).start()
    print(json.dumps(ports), flush=True)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
