"""The Lambda Runtime API: one small HTTP server per function process.

Written on raw streams, because three things matter here that servers hide: the function's POST
is read no faster than its client takes it, trailers are seen, and a POST that is cut is told
from one that ends.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from sandbox.invocation import (
    AbandonedError,
    Head,
    Invocation,
    ResponseTooLargeError,
)
from sandbox.settings import KIB

PREFIX = "/2018-06-01/runtime/"
# What one read takes, and half of what waits unread before the function is held back.
CHUNK = 128 * KIB
ERROR_BODY_LIMIT = 256 * KIB


class BadRequestError(Exception):
    """What came in is not HTTP as a runtime speaks it."""


@dataclass
class _Request:
    method: str
    path: str
    headers: dict[str, str]
    trailers: dict[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class RuntimeApi:
    """The Runtime API of one process. `address` goes into AWS_LAMBDA_RUNTIME_API."""

    address: str = ""
    init_error: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        # Set while the process waits for work: after its init, and between invocations.
        self.idle = asyncio.Event()
        self.failed = asyncio.Event()
        self._work: asyncio.Queue[Invocation] = asyncio.Queue(maxsize=1)
        self._current: Invocation | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=CHUNK)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def give(self, invocation: Invocation) -> None:
        """Hand work to the process, which must be idle."""
        self.idle.clear()
        self._current = invocation
        self._work.put_nowait(invocation)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._one_request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, BadRequestError, AbandonedError):
            # The process is gone, or talks nonsense: its environment notices by itself.
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _one_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        request = await _read_request(reader)
        if request is None:
            return False
        kind, _, rest = request.path.removeprefix(PREFIX).partition("/")
        if (request.method, kind, rest) == ("GET", "invocation", "next"):
            await self._next(reader, writer)
            return True
        if (request.method, kind, rest) == ("POST", "init", "error"):
            self.init_error = await _error_of(request, reader)
            self.failed.set()
            await _reply(writer, HTTPStatus.ACCEPTED)
            return True
        identity, _, action = rest.partition("/")
        if request.method != "POST" or kind != "invocation":
            await _refuse(writer, HTTPStatus.NOT_FOUND, "InvalidPath")
            return False
        return await self._answer(identity, action, request, reader, writer)

    async def _next(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._current = None
        self.idle.set()
        invocation = await self._work.get()
        await _reply(
            writer,
            HTTPStatus.OK,
            invocation.event,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.id,
                "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
                "Lambda-Runtime-Trace-Id": f"Root=1-00000000-{invocation.id[-12:]:0>24};Sampled=0",
            },
        )

    async def _answer(
        self,
        identity: str,
        action: str,
        request: _Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        invocation = self._current
        if invocation is None or invocation.id != identity or invocation.over:
            await _refuse(writer, HTTPStatus.BAD_REQUEST, "InvalidRequestID")
            return False
        if invocation.begun:
            # Nor is an error allowed once the response has begun: trailers are for that.
            await _refuse(writer, HTTPStatus.FORBIDDEN, "InvalidStateTransition")
            return False
        if action == "error":
            details = await _error_of(request, reader)
            invocation.fail(details["errorType"], details)
            await _reply(writer, HTTPStatus.ACCEPTED)
            return True
        if action == "response":
            return await self._response(invocation, request, reader, writer)
        await _refuse(writer, HTTPStatus.NOT_FOUND, "InvalidPath")
        return False

    async def _response(
        self,
        invocation: Invocation,
        request: _Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        mode = request.headers.get("lambda-runtime-function-response-mode", "")
        content_type = request.headers.get("content-type", "application/octet-stream")
        invocation.begin(Head(mode.lower() == "streaming", content_type))
        try:
            async for chunk in _body(reader, request):
                await invocation.feed(chunk)
        except (OSError, asyncio.IncompleteReadError, BadRequestError):
            invocation.fail("Runtime.TruncatedResponse")
            raise
        except ResponseTooLargeError:
            await _refuse(writer, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge")
            return False
        if error := _trailing_error(request.trailers):
            invocation.fail(error["errorType"], error)
        else:
            invocation.finish()
        await _reply(writer, HTTPStatus.ACCEPTED)
        return True


async def _read_request(reader: asyncio.StreamReader) -> _Request | None:
    """The head of the next request; None where the connection ends between two."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as exc:
        if exc.partial:
            raise
        return None
    except asyncio.LimitOverrunError as exc:
        raise BadRequestError("a head larger than the buffer") from exc
    first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3:
        raise BadRequestError(first)
    return _Request(words[0], words[1], _fields(lines))


def _fields(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, request: _Request) -> AsyncIterator[bytes]:
    """The request's body; its trailers are set on the request when it has ended."""
    if "chunked" not in request.headers.get("transfer-encoding", "").lower():
        left = _number(request.headers.get("content-length", "0"), 10)
        async for part in _exactly(reader, left):
            yield part
        return
    while left := _number((await _line(reader)).partition(";")[0], 16):
        async for part in _exactly(reader, left):
            yield part
        if await _line(reader):
            raise BadRequestError("a chunk longer than it said")
    trailers = []
    while line := await _line(reader):
        trailers.append(line)
    request.trailers = _fields(trailers)


async def _exactly(reader: asyncio.StreamReader, left: int) -> AsyncIterator[bytes]:
    while left:
        part = await reader.read(min(left, CHUNK))
        if not part:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(part)
        yield part


async def _line(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n"))[:-2].decode("latin-1")
    except asyncio.LimitOverrunError as exc:
        raise BadRequestError("a line larger than the buffer") from exc


def _number(text: str, base: int) -> int:
    try:
        return int(text.strip(), base)
    except ValueError as exc:
        raise BadRequestError(f"{text!r} is not a length") from exc


async def _error_of(request: _Request, reader: asyncio.StreamReader) -> dict[str, Any]:
    """What the runtime reports: `errorType` is always there."""
    body = b""
    async for part in _body(reader, request):
        body += part
        if len(body) > ERROR_BODY_LIMIT:
            raise BadRequestError("an error report larger than its limit")
    kind = request.headers.get("lambda-runtime-function-error-type", "")
    return _details(kind, body)


def _trailing_error(trailers: dict[str, str]) -> dict[str, Any] | None:
    """The error that a runtime reports behind the body, if it does."""
    kind = trailers.get("lambda-runtime-function-error-type")
    if kind is None:
        return None
    body = b""
    with contextlib.suppress(binascii.Error, ValueError):
        body = base64.b64decode(trailers.get("lambda-runtime-function-error-body", ""))
    return _details(kind, body)


def _details(kind: str, body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        told = {}
    details: dict[str, Any] = told if isinstance(told, dict) else {}
    return details | {"errorType": kind or details.get("errorType") or "Unhandled"}


async def _refuse(writer: asyncio.StreamWriter, status: HTTPStatus, kind: str) -> None:
    body = json.dumps({"errorType": kind, "errorMessage": status.phrase}).encode()
    await _reply(writer, status, body, {"Connection": "close"})


async def _reply(
    writer: asyncio.StreamWriter,
    status: HTTPStatus,
    body: bytes = b'{"status":"OK"}\n',
    headers: dict[str, str] | None = None,
) -> None:
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
    await writer.drain()
