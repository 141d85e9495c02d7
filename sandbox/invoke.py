"""`Invoke` and `InvokeWithResponseStream`: the same functions without a URL."""

from __future__ import annotations

import binascii
import json
import re
import struct
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from aiohttp import web

from sandbox.bandwidth import Bucket
from sandbox.emulator import Scope
from sandbox.functions import THROTTLED, Functions, NoSuchFunctionError, Started, named
from sandbox.invocation import FunctionFailedError
from sandbox.relay import Relay
from sandbox.settings import Settings

_STREAM = re.compile(r"^/2021-11-15/functions/([^/?]+)/response-streaming-invocations(?:\?|$)")
_BUFFERED = re.compile(r"^/2015-03-31/functions/([^/?]+)/invocations(?:\?|$)")

EVENT_STREAM = "application/vnd.amazon.eventstream"
_STRING = 7


class Invocations:
    """Serves both calls. Signatures are not checked here, as on the emulator behind."""

    def __init__(self, settings: Settings, functions: Functions) -> None:
        self._settings = settings
        self._functions = functions

    @staticmethod
    def wants(request: web.Request) -> bool:
        """True for an invocation that waits for its response; others are the emulator's."""
        kind = request.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        path = request.raw_path
        found = _STREAM.match(path) or _BUFFERED.match(path)
        return bool(found) and request.method == "POST" and kind == "RequestResponse"

    async def serve(self, request: web.Request, scope: Scope) -> web.StreamResponse:
        streamed = _STREAM.match(request.raw_path)
        match = streamed or _BUFFERED.match(request.raw_path)
        assert match is not None
        target = named(scope, match[1], request.query.get("Qualifier", ""))
        event = await request.read() or b"{}"
        limit = self._settings.streamed_limit if streamed else self._settings.buffered_limit
        if len(event) > self._settings.buffered_limit:
            return _error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestTooLargeException")
        try:
            started = await self._functions.start(target, event, limit=limit)
        except NoSuchFunctionError:
            return _error(
                HTTPStatus.NOT_FOUND,
                "ResourceNotFoundException",
                f"Function not found: {target.name}",
            )
        try:
            if streamed:
                return await self._stream(request, started)
            return await _whole(started)
        except FunctionFailedError as error:
            if error.code != THROTTLED:
                raise
            answer = _error(HTTPStatus.TOO_MANY_REQUESTS, THROTTLED, "Rate Exceeded.")
            answer.headers["Retry-After"] = "1"
            return answer
        finally:
            started.invocation.leave()

    async def _stream(self, request: web.Request, started: Started) -> web.StreamResponse:
        """Frames of AWS's event stream; a function's error is a frame, too, and no HTTP status."""
        complete: dict[str, Any] = {}
        try:
            head = await started.invocation.head()
            content_type = head.content_type
        except FunctionFailedError as error:
            if error.code == THROTTLED:
                raise
            content_type, complete = "application/json", _completion(error)
        response = web.StreamResponse(
            headers={
                "Content-Type": EVENT_STREAM,
                "X-Amzn-Remapped-Content-Type": content_type,
                "X-Amz-Executed-Version": started.revision.version,
                "x-amzn-RequestId": started.invocation.id,
            }
        )
        bucket = Bucket(rate=self._settings.bandwidth, burst=self._settings.burst)
        relay = Relay(request, response, bucket)
        await relay.send(b"", _frames(started, complete))
        return response


async def _frames(started: Started, complete: dict[str, Any]) -> AsyncIterator[bytes]:
    if not complete:
        try:
            async for part in started.invocation.body():
                yield frame("PayloadChunk", part, "application/octet-stream")
        except FunctionFailedError as error:
            complete = _completion(error)
    yield frame("InvokeComplete", json.dumps(complete).encode(), "application/json")


def _completion(error: FunctionFailedError) -> dict[str, Any]:
    return {"ErrorCode": error.code, "ErrorDetails": json.dumps(error.details)}


async def _whole(started: Started) -> web.Response:
    """The buffered answer; a function's error is status 200 with `X-Amz-Function-Error`."""
    invocation = started.invocation
    headers = {
        "X-Amz-Executed-Version": started.revision.version,
        "x-amzn-RequestId": invocation.id,
    }
    try:
        head = await invocation.head()
        body = b"".join([part async for part in invocation.body()])
        headers["Content-Type"] = head.content_type
    except FunctionFailedError as error:
        if error.code == THROTTLED:
            raise
        headers |= {"X-Amz-Function-Error": "Unhandled", "Content-Type": "application/json"}
        body = json.dumps(error.details).encode()
    return web.Response(headers=headers, body=body)


def frame(event: str, payload: bytes, content_type: str) -> bytes:
    """One message of the event stream: prelude, its CRC, headers, payload, the CRC of all."""
    fields = {":message-type": "event", ":event-type": event, ":content-type": content_type}
    headers = b"".join(_header(name, value) for name, value in fields.items())
    total = 12 + len(headers) + len(payload) + 4
    prelude = struct.pack("!II", total, len(headers))
    message = prelude + struct.pack("!I", binascii.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", binascii.crc32(message))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack("!B", len(key)) + key + struct.pack("!BH", _STRING, len(text)) + text


def _error(status: HTTPStatus, kind: str, message: str = "") -> web.Response:
    return web.json_response(
        {"Message": message or status.phrase, "Type": "User"},
        status=status,
        headers={"x-amzn-ErrorType": kind},
    )
