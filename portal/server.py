"""The production web server: uvicorn, with sockets and a protocol that suit long downloads."""

import asyncio
import math
import signal
import socket
import struct
import sys
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.supervisors import Multiprocess

from portal import settings
from streams.net import pace


class Unjoined(RequestResponseCycle):
    """Sends a chunk as three pieces; the original copies each body into one with its framing."""

    async def send(self, message: Any) -> None:
        body = message.get("body")
        if not (self.chunked_encoding and body and message.get("more_body")):
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self.transport.writelines((b"%x\r\n" % len(body), body, b"\r\n"))


class CloseDelimited(RequestResponseCycle):
    """HTTP/1.0 knows no chunks (RFC 9112 section 6.1): the end of the connection ends the body.

    An orderly end says that the body is whole, so until it is, any end is a reset: also the one
    that the kernel makes when this process is killed.
    """

    _open_ended = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message.get("headers", [])}
            self._open_ended = b"content-length" not in names
            if self._open_ended:
                self.chunked_encoding = False
                self.expected_content_length = sys.maxsize
                self._reset_on_close(True)
        elif self._open_ended and not message.get("more_body", False):
            self.expected_content_length = len(message.get("body", b""))
            self._reset_on_close(False)
        await super().send(message)

    def _reset_on_close(self, reset: bool) -> None:
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", reset, 0))


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol, which by itself takes any request, of any size and for any time.

    A head that follows another message in the same piece of data is counted from the next piece
    on, so that at most twice `largest_head` is ever held; and a body likewise.
    """

    # Bytes of the request line and all fields.
    largest_head = 64 * 1024
    # Seconds from a head's first byte, or from the connection's beginning, to the head's end.
    head_time = 30.0
    # Bytes behind a head, with all that chunks and trailers add. Django stores them before it looks
    # at anything, and refuses forms that are half as large. Nothing is uploaded to the portal.
    largest_body = 4 * 1024 * 1024
    # Seconds from a head's end to that of its message.
    body_time = 120.0
    # Seconds in which a client that still sends can read why it was refused.
    linger = 2.0

    _in_head = True
    # Of the head, or of what is behind it, as far as it has come.
    _size = 0
    _clock: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._time(self.head_time)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while self._in_head and data and not self._refused and not self.transport.is_closing():
            room = self.largest_head - self._size
            piece, data = data[:room], data[room:]
            self._size += len(piece)
            super().data_received(piece)
            if self._in_head and self._size >= self.largest_head:
                self._refuse(431)
            elif self._in_head and not self._is_answering():
                self._time(self.head_time)
        if data and not self._refused and not self.transport.is_closing():
            self._size += len(data)
            super().data_received(data)
            if not self._in_head and self._size > self.largest_body:
                self._refuse(413)

    def on_header(self, name: bytes, value: bytes) -> None:
        # uvicorn adds trailers to the head, where they would pass for what a proxy has set.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._size = 0
        self._stop_clock()
        self._time(self.body_time)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._size = 0
        self._stop_clock()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _time(self, seconds: float) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(seconds, self._too_slow)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_slow(self) -> None:
        self._stop_clock()
        if self.pipeline and not self._in_head:
            # Nothing is read before its turn comes.
            self._time(self.body_time)
        elif self._size or not self._in_head:
            self._refuse(408)
        else:
            self.transport.close()

    def _refuse(self, status: int) -> None:
        self._refused = True
        self._stop_clock()
        in_body = not self._in_head
        if in_body and (self.pipeline or self.cycle.response_complete):
            # Whatever was said now would be taken for something else.
            self.transport.close()
        elif self._is_answering() and not (in_body and not self.cycle.response_started):
            # What is on its way to the client is of an earlier request, and goes on to its end.
            self.cycle.keep_alive = False
        elif not self.transport.is_closing():
            if in_body:
                # The application still waits for the rest.
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            head = STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head)
            # To close while more comes is to reset, and the client would lose the answer.
            self.transport.write_eof()
            self.loop.call_later(self.linger, self.transport.close)


class Protocol(Bounded):
    """Answers an HTTP/1.0 client in its own terms."""

    def on_headers_complete(self) -> None:
        # For the relay, which lets more wait in the kernel for a client that keeps up.
        extensions: Any = {"spillway.socket": self.transport.get_extra_info("socket")}
        self.scope["extensions"] = extensions
        super().on_headers_complete()
        # The cycle was made a moment ago and its task has not run yet.
        old = self.parser.get_http_version() == "1.0"
        self.cycle.__class__ = CloseDelimited if old else Unjoined


class Supervisor(Multiprocess):
    """uvicorn's; stops to listen when its workers do, and misses one that dies at once."""

    def keep_subprocess_alive(self) -> None:
        # With both ends open here, the answer of a worker that died would be waited for as long as
        # that of one that is busy, and no signal heeded meanwhile.
        for process in self.processes:
            process.child_conn.close()
        super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        super().terminate_all()
        # Open here, it would take connections that nobody serves any more.
        for sock in self.sockets:
            sock.close()


def listen(host: str, port: int, *, client_timeout: float) -> socket.socket:
    """The listening socket; connections inherit its options."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # uvicorn has no send time-out: without this, a client that vanished keeps its socket.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(client_timeout * 1000))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, pace.NARROW.unsent)
    sock.bind((host, port))
    sock.set_inheritable(True)
    return sock


def run(sock: socket.socket, *, workers: int) -> None:
    """Serves on `sock` until SIGTERM or SIGINT, and then for as long as downloads may take."""
    config = uvicorn.Config(
        "portal.asgi:application",
        http=Protocol,
        loop="uvloop",
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        # A request on a kept connection must not inherit the threads of the one before it.
        reset_contextvars=True,
        timeout_keep_alive=30,
        # The engine cuts what is left when the time is up; this is for what it does not know.
        timeout_graceful_shutdown=math.ceil(settings.DRAIN_TIMEOUT) + 2,
        workers=workers,
        # Seconds until a worker that does not answer is killed, with its downloads: a machine may
        # be busy for longer than uvicorn's 5.
        timeout_worker_healthcheck=60,
    )
    # uvicorn raises the signal again when all is done; an orderly end is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    if workers == 1:
        uvicorn.Server(config).run(sockets=[sock])
    else:
        Supervisor(config, sockets=[sock]).run()
