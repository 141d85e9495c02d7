"""The HTTP client against origins that end badly, on real sockets."""

import asyncio
import contextlib
import ipaddress
import struct
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import pytest

from streams.net import errors
from streams.net.addresses import AddressPolicy
from streams.net.client import Client, Incoming
from tests.functional.origin import Connection, Origin, Request, length

LOOPBACK = AddressPolicy((ipaddress.ip_network("127.0.0.0/8"),))
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def answered_by(script: Script, *, policy: AddressPolicy = LOOPBACK) -> AsyncIterator[str]:
    served: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            served.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await script(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/file"
    finally:
        server.close()
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)


@asynccontextmanager
async def response_to(script: Script) -> AsyncIterator[Incoming]:
    client = Client(LOOPBACK, head_timeout=2)
    try:
        async with answered_by(script) as url:
            answer = await client.request("GET", url, {})
            yield answer
            answer.body.abort()
    finally:
        await client.close()


async def whole(answer: Incoming) -> bytes:
    held = b""
    while chunk := await answer.body.read():
        held += chunk
    return held


def sending(data: bytes, *, reset: bool = False) -> Script:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if reset:
            await asyncio.sleep(0.1)
            writer.get_extra_info("socket").setsockopt(
                SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0)
            )

    return script


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhel",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    ],
)
async def test_a_body_that_breaks_is_never_a_whole_one(data: bytes) -> None:
    async with response_to(sending(data)) as answer:
        with pytest.raises(errors.TruncatedError):
            await asyncio.wait_for(whole(answer), 2)


@pytest.mark.parametrize(
    "rest", [b"zz\r\nboom", b"2\r\nhiXX0\r\n\r\n", b"-1\r\n\r\n", b"F" * 40 + b"\r\n"]
)
async def test_a_malformed_chunk_is_noticed_while_the_connection_stays_open(rest: bytes) -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + b"5\r\nhello\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(rest)
        await writer.drain()
        await asyncio.sleep(2.5)

    async with response_to(script) as answer:
        with pytest.raises(errors.TruncatedError):
            await asyncio.wait_for(whole(answer), 2)


async def test_a_reset_is_not_the_end_of_a_body_without_length() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

    async with response_to(sending(head + b"hello", reset=True)) as answer:
        with pytest.raises(errors.TruncatedError):
            await asyncio.wait_for(whole(answer), 2)


async def test_what_came_before_a_reset_is_read() -> None:
    sent = b"x" * 100_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"

    async with response_to(sending(head + sent, reset=True)) as answer:
        pieces = []

        async def read_slowly() -> None:
            while True:
                # As who writes to a slow client: meanwhile the connection goes.
                await asyncio.sleep(0.2)
                pieces.append(await answer.body.read())

        with pytest.raises(errors.TruncatedError):
            await read_slowly()

    assert b"".join(pieces) == sent


async def test_an_orderly_end_is_one() -> None:
    for data in (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Note: fine\r\n\r\n",
    ):
        async with response_to(sending(data)) as answer:
            assert await whole(answer) == b"hello"


async def test_a_failure_that_lambda_reports_in_trailers_is_one() -> None:
    data = CHUNKED + (
        b"5\r\nhello\r\n0\r\nLambda-Runtime-Function-Error-Type: Runtime.Unknown\r\n\r\n"
    )

    async with response_to(sending(data)) as answer:
        with pytest.raises(errors.ReportedError):
            await whole(answer)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", errors.ProtocolError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", errors.ProtocolError),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000, errors.ProtocolError),
        (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", errors.ProtocolError),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", errors.ProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Le", errors.UnreachableError),
        (b"", errors.UnreachableError),
    ],
)
async def test_a_head_that_is_none_is_an_error(
    data: bytes, error: type[errors.OriginError]
) -> None:
    with pytest.raises(error):
        async with response_to(sending(data)):
            pass


async def test_interim_answers_are_passed_over_however_many() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    async with response_to(sending(interim * 3000 + final)) as answer:
        assert await whole(answer) == b"hello"


async def test_a_head_of_single_line_feeds_is_read() -> None:
    async with response_to(sending(b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello")) as answer:
        assert await whole(answer) == b"hello"


async def test_a_connection_is_used_again_after_a_whole_body_and_after_no_other() -> None:
    answers = {
        b"/length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"/chunks": CHUNKED + b"5\r\nhello\r\n0\r\nX-Note: 1\r\n\r\n",
        b"/empty": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"/surplus": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n",
    }
    connections = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                writer.write(answers[head.split(b" ")[1]])
        writer.close()

    client = Client(LOOPBACK, head_timeout=2)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for path, made in (
        ("/length", 1), ("/chunks", 1), ("/empty", 1), ("/length", 1), ("/surplus", 1),
        ("/length", 2),
    ):  # fmt: skip
        answer = await client.request("GET", url + path, {})
        assert await whole(answer) == (b"" if path == "/empty" else b"hello")
        assert len(connections) == made, path
    await client.close()
    server.close()


@pytest.mark.parametrize("path", ["/length", "/empty"])
async def test_what_nobody_asked_for_is_no_answer_to_the_next_request(path: str) -> None:
    """Its bytes might be another user's."""
    whole_answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%b"
    said = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            empty = head.split(b" ")[1] == b"/empty"
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n" if empty else whole_answer % b"right")
            if not said.is_set():
                await asyncio.sleep(0.1)
                writer.write(whole_answer % b"wrong")
                await writer.drain()
                said.set()
                await reader.read()
        writer.close()

    client = Client(LOOPBACK, head_timeout=2)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await whole(await client.request("GET", url + path, {}))
    await said.wait()
    await asyncio.sleep(0.1)

    assert await whole(await client.request("GET", url + "/length", {})) == b"right"
    await client.close()
    server.close()


async def test_nor_what_a_busy_event_loop_had_no_time_to_read() -> None:
    said = threading.Event()

    def script(_: Request, connection: Connection) -> None:
        connection.send(length(b"right"))
        if len(case.requests) == 1:
            time.sleep(0.05)
            connection.send(length(b"wrong"))
            said.set()

    origin = Origin()
    case, client = origin.on(script), Client(LOOPBACK, head_timeout=2)
    url = f"{origin.url}?case={case.name}"
    await whole(await client.request("GET", url, {}))
    assert said.wait(5), "it holds up the event loop"

    assert await whole(await client.request("GET", url, {})) == b"right"
    assert await whole(await client.request("GET", url, {})) == b"right"
    assert len({connection.sock for connection in case.connections}) == 2
    await client.close()
    origin.close()


async def test_a_head_that_never_ends_is_given_up_in_time() -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for letter in "HTTP/1.1 200 OK\r\nX: " + "a" * 100:
            writer.write(letter.encode())
            await asyncio.sleep(0.1)

    client = Client(LOOPBACK, head_timeout=0.5)
    async with answered_by(script) as url:
        with pytest.raises(errors.OriginTimeoutError):
            await client.request("GET", url, {})
    await client.close()


async def test_a_name_that_leads_to_a_forbidden_address_is_not_connected_to() -> None:
    asked = []

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)

    client = Client(AddressPolicy(), head_timeout=2)
    async with answered_by(script) as url:
        for scheme in ("http", "https"):
            name = url.replace("127.0.0.1", "localhost").replace("http:", f"{scheme}:")
            with pytest.raises(errors.AddressForbiddenError):
                await client.request("GET", name, {})
    await client.close()
    assert asked == []
