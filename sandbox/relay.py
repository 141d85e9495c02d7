"""A body on its way to a client: paced, held back, and cut where it cannot be completed."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Mapping
from socket import SO_LINGER, SOL_SOCKET

from aiohttp import HttpVersion11, web
from multidict import CIMultiDict

from sandbox.bandwidth import Bucket

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

# What aiohttp would add to a request that its caller did not send.
UNASKED = frozenset({"Accept", "Accept-Encoding", "Content-Type", "User-Agent"})


def passed(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """All but what belongs to one connection, or names the host that was called."""
    dropped = HOP_BY_HOP | {"host", "expect"}
    return CIMultiDict([(n, v) for n, v in headers.items() if n.lower() not in dropped])


def signed(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The same with the host that was called, which a signature covers."""
    return CIMultiDict([*passed(headers).items(), ("Host", headers.get("Host", "127.0.0.1"))])


class Relay:
    """Sends one response. With a Content-Length it must come to exactly that, or it is cut."""

    def __init__(
        self, request: web.Request, response: web.StreamResponse, bucket: Bucket | None = None
    ) -> None:
        self._request = request
        self._response = response
        self._bucket = bucket
        self._sent = 0

    async def send(self, first: bytes, body: AsyncIterator[bytes]) -> None:
        """Send it all. What `body` raises comes through; a client that leaves ends it quietly."""
        try:
            await self._response.prepare(self._request)
        except OSError:
            return
        if first:
            await self._write(first)
        async for part in body:
            if not await self._write(part):
                return
        length = self._response.content_length
        if length is not None and self._sent < length and not self._bodiless():
            self.cut()

    async def _write(self, part: bytes) -> bool:
        if self._bucket is not None:
            await self._bucket.take(len(part))
        if self._bodiless():
            return True
        try:
            await self._response.write(part)
        except OSError:
            return False
        self._sent += len(part)
        return True

    def _bodiless(self) -> bool:
        return self._request.method == "HEAD" or self._response.status in {204, 304}

    def cut(self) -> None:
        """End the connection without the last chunk, behind what was sent so far."""
        transport = self._request.transport
        if transport is None:
            return
        framed = self._request.version >= HttpVersion11 or self._response.content_length is not None
        if framed:
            transport.close()
        else:
            # To HTTP/1.0 the end of the connection is the end of the body: only a reset tells.
            linger = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, linger)
            transport.abort()

    def end_with_trailers(self, trailers: dict[str, str]) -> None:
        """End a chunked body properly, but for the trailers that say it is broken."""
        transport = self._request.transport
        if transport is None or self._response.content_length is not None:
            return
        lines = "".join(f"{name}: {value}\r\n" for name, value in trailers.items())
        # aiohttp writes no trailers: these bytes follow the chunks that it has written.
        transport.write(f"0\r\n{lines}\r\n".encode("latin-1"))
