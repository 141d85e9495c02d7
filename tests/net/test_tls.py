"""TLS towards an origin: trusted, whole, cut, and never far ahead of whoever reads."""

import asyncio
import contextlib
import hashlib
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bench import certificates
from bench.certificates import Certificates
from streams.net import errors
from streams.net.addresses import AddressPolicy
from streams.net.client import Client
from streams.net.pace import WIDE

LOOPBACK = AddressPolicy((ipaddress.ip_network("127.0.0.0/8"),))
HEAD = b"HTTP/1.1 200 OK\r\n"
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def _trusted(made: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))


@dataclass
class Origin:
    """A TLS server in threads, which does what `script` says after each request."""

    made: Certificates
    script: Callable[["Origin", ssl.SSLSocket], None]
    sent: int = 0
    left: threading.Event = field(default_factory=threading.Event)
    connections: int = 0

    def __post_init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.made.chain, self.made.key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(10)
        with sock, contextlib.suppress(OSError), self.context.wrap_socket(sock, True) as secure:
            self.connections += 1
            while b"\r\n\r\n" in secure.recv(65536):
                self.script(self, secure)
        self.left.set()

    def pour(self, secure: ssl.SSLSocket, total: int, piece: bytes) -> None:
        while self.sent < total:
            secure.sendall(piece[: total - self.sent])
            self.sent += len(piece)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def origin(made: Certificates) -> Iterator[Callable[..., Origin]]:
    started: list[Origin] = []

    def start(script: Callable[[Origin, ssl.SSLSocket], None]) -> Origin:
        started.append(Origin(made, script))
        return started[-1]

    yield start
    for each in started:
        each.close()


@asynccontextmanager
async def client() -> AsyncIterator[Client]:
    opened = Client(LOOPBACK, head_timeout=3)
    try:
        yield opened
    finally:
        await opened.close()


async def fetch(opened: Client, port: int) -> bytes:
    answer = await opened.request("GET", f"https://127.0.0.1:{port}/", {})
    held = b""
    try:
        async with asyncio.timeout(5):
            while chunk := await answer.body.read():
                held += chunk
    except BaseException:
        answer.body.abort()
        raise
    return held


def sending(*parts: bytes, ending: str = "open") -> Callable[[Origin, ssl.SSLSocket], None]:
    def script(_: Origin, secure: ssl.SSLSocket) -> None:
        for part in parts:
            secure.sendall(part)
        if ending == "close_notify":
            secure.unwrap().close()
        elif ending == "cut":
            # The end of the connection, without TLS's own.
            secure.shutdown(socket.SHUT_RDWR)

    return script


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        [HEAD + b"Content-Length: 5\r\n\r\nhello"],
        [HEAD + b"Content-Length: 5\r\n\r\n", b"he", b"llo"],
        [CHUNKED, b"2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n"],
    ],
)
async def test_a_body_arrives_and_the_connection_is_used_again(
    origin: Callable[..., Origin], data: list[bytes]
) -> None:
    server = origin(sending(*data))
    async with client() as opened:
        for _ in range(3):
            assert await fetch(opened, server.port) == b"hello"

    assert server.connections == 1


async def test_what_nobody_asked_for_is_no_answer_to_the_next_request(
    origin: Callable[..., Origin],
) -> None:
    said = threading.Event()

    def script(started: Origin, secure: ssl.SSLSocket) -> None:
        secure.sendall(HEAD + b"Content-Length: 5\r\n\r\nright")
        if started.connections == 1:
            time.sleep(0.05)
            secure.sendall(HEAD + b"Content-Length: 5\r\n\r\nwrong")
            said.set()

    started = origin(script)
    async with client() as opened:
        await fetch(opened, started.port)
        assert said.wait(5), "it holds up the event loop"
        assert await fetch(opened, started.port) == b"right"


async def test_without_length_only_tlss_own_end_is_an_end(origin: Callable[..., Origin]) -> None:
    head = HEAD + b"Connection: close\r\n\r\nhello"
    orderly, cut = origin(sending(head, ending="close_notify")), origin(sending(head, ending="cut"))
    async with client() as opened:
        assert await fetch(opened, orderly.port) == b"hello"
        with pytest.raises(errors.TruncatedError):
            await fetch(opened, cut.port)


@pytest.mark.parametrize("ending", ["close_notify", "cut"])
@pytest.mark.parametrize(
    "data", [HEAD + b"Content-Length: 10\r\n\r\nhello", CHUNKED + b"5\r\nhello\r\n"]
)
async def test_a_body_that_breaks_is_never_a_whole_one(
    origin: Callable[..., Origin], data: bytes, ending: str
) -> None:
    server = origin(sending(data, ending=ending))
    async with client() as opened:
        with pytest.raises(errors.TruncatedError):
            await fetch(opened, server.port)


async def test_an_origin_that_we_do_not_trust_gets_no_request(
    origin: Callable[..., Origin], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[int] = []
    server = origin(lambda *_: asked.append(1))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.make(tmp_path).authority))
    async with client() as opened:
        with pytest.raises(errors.UnreachableError):
            await fetch(opened, server.port)
    assert asked == []


async def test_a_certificate_for_another_name_is_refused(origin: Callable[..., Origin]) -> None:
    server = origin(sending(HEAD + b"Content-Length: 0\r\n\r\n"))
    async with client() as opened:
        with pytest.raises(errors.UnreachableError):
            await opened.request("GET", f"https://localhost:{server.port}/", {})


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_a_server_without_tls_is_unreachable(greeting: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(greeting)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with client() as opened:
        with pytest.raises(errors.UnreachableError):
            await opened.request(
                "GET", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", {}
            )
    server.close()


async def test_a_handshake_that_never_ends_is_given_up() -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        left.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    opened = Client(LOOPBACK, head_timeout=0.5)
    with pytest.raises(errors.OriginTimeoutError):
        await opened.request("GET", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", {})
    async with asyncio.timeout(2):
        await left.wait()
    await opened.close()
    server.close()


async def test_who_does_not_read_holds_the_origin_back(origin: Callable[..., Origin]) -> None:
    def endless(server: Origin, secure: ssl.SSLSocket) -> None:
        secure.sendall(HEAD + b"Content-Length: 1073741824\r\n\r\n")
        server.pour(secure, 1 << 30, b"x" * 65536)

    server = origin(endless)
    async with client() as opened:
        answer = await opened.request("GET", f"https://127.0.0.1:{server.port}/", {})
        await asyncio.sleep(1)
        before = server.sent
        await asyncio.sleep(0.5)

        assert server.sent == before < 8 * MEGABYTE
        answer.body.abort()
        left = await asyncio.to_thread(server.left.wait, 5)
        assert left


@pytest.mark.parametrize("wide", [False, True])
async def test_fifty_megabytes_arrive_as_they_were(
    origin: Callable[..., Origin], wide: bool
) -> None:
    piece, total = os.urandom(MEGABYTE), 50 * MEGABYTE

    def script(server: Origin, secure: ssl.SSLSocket) -> None:
        server.sent = 0
        secure.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % total)
        server.pour(secure, total, piece)

    server = origin(script)
    digest, got = hashlib.sha256(), 0
    async with client() as opened:
        answer = await opened.request("GET", f"https://127.0.0.1:{server.port}/", {})
        if wide:
            answer.body.set_pace(WIDE)
        while chunk := await answer.body.read():
            digest.update(chunk)
            got += len(chunk)

    assert got == total
    assert digest.digest() == hashlib.sha256(piece * 50).digest()
