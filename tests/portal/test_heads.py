"""The server bounds what a client may send before it has asked for anything."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from portal.server import Protocol

KB = 1024
GO_ON = threading.Event()


class Hasty(Protocol):
    """Half a second for a head is enough on loopback."""

    head_time = 0.5
    body_time = 1.5
    largest_body = 300 * KB
    linger = 0.5


async def _app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the number of bytes it was sent; `/long` not before `GO_ON`.

    `/early` does not wait for them.
    """
    got = 0
    while scope["path"] != "/early":
        message = await receive()
        got += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/long":
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        await asyncio.to_thread(GO_ON.wait, 10)
    seen = b" ".join(name for name, _ in scope["headers"])
    await send({"type": "http.response.body", "body": b"took %d with %b" % (got, seen)})


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    config = uvicorn.Config(
        _app, http=Hasty, loop="uvloop", lifespan="off", log_config=None, timeout_keep_alive=30
    )
    server = uvicorn.Server(config)
    sock = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    yield sock.getsockname()
    server.should_exit = True
    thread.join()
    sock.close()


@pytest.fixture
def client(address: tuple[str, int]) -> Iterator[socket.socket]:
    GO_ON.clear()
    with socket.create_connection(address, timeout=5) as sock:
        yield sock
    GO_ON.set()


def _head(path: str = "/", *, size: int = 0, method: str = "GET", fields: str = "") -> bytes:
    """A whole head, with one field that makes it `size` bytes."""
    start = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{fields}".encode()
    room = size - len(start) - len("X: \r\n\r\n")
    return start + (b"X: " + b"y" * room + b"\r\n" if size else b"") + b"\r\n"


def _until_closed(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(64 * KB), b""))


def _until(client: socket.socket, end: bytes) -> bytes:
    got = b""
    while not got.endswith(end):
        piece = client.recv(64 * KB)
        assert piece, got
        got += piece
    return got


ANSWERED = b"0\r\n\r\n"


def test_a_head_of_the_largest_size_is_answered(client: socket.socket) -> None:
    client.sendall(_head(size=64 * KB))

    assert b"took 0" in _until(client, ANSWERED)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(_head(size=64 * KB + 1), id="one byte more"),
        pytest.param(b"GET /" + b"y" * 64 * KB, id="a request line without end"),
        pytest.param(_head(fields="X: y\r\n" * 20_000), id="many fields"),
        pytest.param(b"\r\n" * 40_000, id="nothing but empty lines"),
    ],
)
def test_a_larger_head_is_refused_and_the_connection_closed(
    client: socket.socket, head: bytes
) -> None:
    client.sendall(head)

    assert _until_closed(client).startswith(b"HTTP/1.1 431 ")


def test_a_client_that_goes_on_sending_is_read_no_further(client: socket.socket) -> None:
    sent = 0
    with contextlib.suppress(OSError):
        client.sendall(b"GET / HTTP/1.1\r\nX: ")
        began = time.monotonic()
        while time.monotonic() - began < 5:
            client.sendall(b"y" * KB)
            time.sleep(0.001)
            sent += KB

    assert time.monotonic() - began < 3


def test_a_head_that_does_not_end_is_refused_although_it_goes_on(client: socket.socket) -> None:
    began = time.monotonic()
    client.sendall(b"GET / HTTP/1.1\r\n")
    client.settimeout(0.1)
    got = b""
    while not got and time.monotonic() - began < 4:
        client.sendall(b"X: y\r\n")
        with contextlib.suppress(TimeoutError):
            got = client.recv(KB)

    assert got.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began > 0.4


def test_a_connection_on_which_nothing_comes_is_closed(client: socket.socket) -> None:
    assert _until_closed(client) == b""


def test_each_head_on_a_kept_connection_has_its_own_size_and_time(client: socket.socket) -> None:
    for _ in range(3):
        client.sendall(_head(size=60 * KB))
        _until(client, ANSWERED)
        time.sleep(0.3)
    time.sleep(0.5)
    client.sendall(_head())
    assert b"took 0" in _until(client, ANSWERED)

    client.sendall(b"GET / HTTP/1.1\r\n")
    assert _until_closed(client).startswith(b"HTTP/1.1 408 ")


def test_pipelined_heads_are_counted_each_for_itself(client: socket.socket) -> None:
    client.sendall(_head(size=40 * KB) * 5)

    got = b""
    while got.count(b"took 0") < 5:
        got += _until(client, ANSWERED)


def test_a_body_may_be_larger_and_slower_than_a_head(client: socket.socket) -> None:
    client.sendall(_head(method="POST", fields=f"Content-Length: {200 * KB}\r\n") + b"y" * 100 * KB)
    time.sleep(0.8)
    client.sendall(b"y" * 100 * KB)

    assert b"took %d" % (200 * KB) in _until(client, ANSWERED)


CHUNKED = _head(method="POST", fields="Transfer-Encoding: chunked\r\n") + b"1"
TRAILERS = CHUNKED + b"\r\nx\r\n0\r\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_head(method="POST", fields="Content-Length: 1000000\r\n"), id="a body"),
        pytest.param(CHUNKED + b";", id="an extension of a chunk"),
        pytest.param(TRAILERS + b"X: ", id="a trailer"),
    ],
)
@pytest.mark.parametrize(("drip", "status"), [(KB, b"413"), (1, b"408")])
def test_what_follows_a_head_does_not_go_on_for_ever(
    client: socket.socket, data: bytes, drip: int, status: bytes
) -> None:
    client.sendall(data)
    client.settimeout(0.001)
    got, began = b"", time.monotonic()
    while not got and time.monotonic() - began < 5:
        client.sendall(b"y" * drip)
        with contextlib.suppress(TimeoutError):
            got = client.recv(KB)

    assert got.startswith(b"HTTP/1.1 " + status)
    client.settimeout(5)
    assert _until_closed(client) == b""


def test_trailers_do_not_pass_for_fields_of_the_head(client: socket.socket) -> None:
    client.sendall(TRAILERS + b"X-Forwarded-For: 1.2.3.4\r\nHost: other\r\n\r\n")

    assert b"took 1 with host transfer-encoding\r\n" in _until(client, ANSWERED)

    client.sendall(_head(fields="Y: z\r\n"))
    assert b"took 0 with host y\r\n" in _until(client, ANSWERED)


def test_who_was_answered_already_gets_no_second_answer(client: socket.socket) -> None:
    client.sendall(_head("/early", method="POST", fields="Content-Length: 10\r\n"))

    assert _until_closed(client).count(b"HTTP/1.1 ") == 1


def test_a_body_is_not_late_while_an_answer_before_it_is_sent(client: socket.socket) -> None:
    client.sendall(_head("/long"))
    _until(client, b"first \r\n")
    client.sendall(_head(method="POST", fields="Content-Length: 10\r\n") + b"12345")
    time.sleep(2)
    GO_ON.set()
    assert b"took 0" in _until(client, ANSWERED)
    client.sendall(b"67890")

    assert b"took 10" in _until(client, ANSWERED)


@pytest.mark.parametrize("rest", [b"GET / HTTP/1.1\r\n", b"GET /" + b"y" * 200 * KB])
def test_an_answer_that_is_under_way_is_finished_first(client: socket.socket, rest: bytes) -> None:
    client.sendall(_head("/long"))
    _until(client, b"first \r\n")
    client.sendall(rest)
    time.sleep(0.8)
    GO_ON.set()

    assert b"took 0" in _until(client, ANSWERED)
