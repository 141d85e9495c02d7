"""The one HTTP client of the data plane: checked addresses, strict framing, nothing decoded."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from streams.net.addresses import AddressPolicy
from streams.net.connection import Connection
from streams.net.errors import (
    AddressForbiddenError,
    BodyError,
    OriginTimeoutError,
    ProtocolError,
    ReportedError,
    TruncatedError,
    UnreachableError,
)
from streams.net.pace import NARROW, RECEIVED, Pace
from streams.net.scratch import Scratch
from streams.net.tls import Tls
from streams.wire import headers, trailer


class HttpBody:
    """The bytes of a response as they come: an `origins.Body`."""

    __slots__ = ("_connection", "_decoder", "_reader", "_response")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._reader = response.content
        # Not `response.connection`: a short body may have come with its head, and is then released.
        self._connection = response._protocol
        self._decoder = getattr(self._connection, "decoder", None)
        self.set_pace(NARROW)

    async def read(self) -> bytes:
        """The next bytes, empty at the end. Raises `BodyError` where the end is not the end."""
        try:
            # One piece as it came; `readany` would join what has gathered, which costs a copy.
            chunk, _ = await self._reader.readchunk()
        except (aiohttp.ClientError, OSError, RuntimeError) as exc:
            if self._reader._buffer:
                # It came before the failure, which is raised again once all this is read.
                return self._reader._read_nowait_chunk(-1)
            raise TruncatedError(type(exc).__name__) from exc
        if not chunk and self._decoder and trailer.is_report(self._decoder.trailers):
            raise ReportedError("the function reported a failure in its trailers")
        return chunk

    def fail(self, exc: BodyError) -> None:
        """Makes a pending `read` raise `exc`: how a silent origin is given up."""
        self._reader.set_exception(exc)

    def set_pace(self, pace: Pace) -> None:
        """Reads ahead as far as suits the client."""
        if isinstance(self._connection, Connection) and not self._reader.is_eof():
            self._connection.set_pace(self._reader, pace)

    def abort(self) -> None:
        """Drops the connection at once. A polite end of TLS would keep the origin sending."""
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.abort()
        self._response.close()


@dataclass(frozen=True)
class Incoming:
    """A response whose head has come. `length` is what the head says of the body, in bytes."""

    url: str
    status: int
    headers: Mapping[str, str]
    length: int | None
    body: HttpBody


class CheckedResolver(AbstractResolver):
    """Looks names up and keeps the addresses that the policy allows."""

    def __init__(self, policy: AddressPolicy, scheme: str) -> None:
        self._inner = aiohttp.ThreadedResolver()
        self._policy = policy
        self._scheme = scheme

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        refusal: AddressForbiddenError | None = None
        allowed = []
        for result in found:
            try:
                self._policy.check_address(result["host"], scheme=self._scheme)
            except AddressForbiddenError as exc:
                refusal = exc
            else:
                allowed.append(result)
        if refusal and not allowed:
            raise refusal
        return allowed

    async def close(self) -> None:
        await self._inner.close()


class Connector(aiohttp.TCPConnector):
    """Connects to checked addresses only, whichever way they were found."""

    def __init__(self, policy: AddressPolicy, scheme: str, context: ssl.SSLContext) -> None:
        super().__init__(
            limit=0,
            ssl=context,
            resolver=CheckedResolver(policy, scheme),
            socket_factory=partial(_checked_socket, policy, scheme),
        )
        self._policy, self._scheme = policy, scheme
        self._factory = partial(Connection, self._loop)  # type: ignore[assignment]

    async def look_up(self, host: str, port: int | None) -> str:
        """The first of its addresses that are allowed."""
        found = await self._resolve_host(host, port or 0)
        self._policy.check_address(found[0]["host"], scheme=self._scheme)
        return str(found[0]["host"])

    async def _get(self, *args: Any) -> Any:
        """A kept connection. What has come on it meanwhile must not answer the next request."""
        while kept := await super()._get(*args):
            assert isinstance(kept.protocol, Connection)
            if kept.protocol.is_quiet():
                break
            kept.close()
        return kept

    async def _wrap_create_connection(self, *args: Any, **kwargs: Any) -> Any:
        context, hostname = kwargs.pop("ssl"), kwargs.pop("server_hostname")
        transport, connection = await super()._wrap_create_connection(*args, **kwargs)
        if context is None:
            transport.set_protocol(Scratch(connection))
            return transport, connection
        assert isinstance(connection, Connection)
        tls = Tls(context, hostname, transport, connection)
        await tls.handshake()
        return tls, connection


def _checked_socket(policy: AddressPolicy, scheme: str, info: Any) -> socket.socket:
    family, kind, protocol, _, address = info
    policy.check_address(address[0], scheme=scheme)
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
    sock.setblocking(False)
    return sock


def trust() -> ssl.SSLContext:
    """The system's certificate authorities, or certifi's on a machine that has none."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"] and not context.get_ca_certs():
        context.load_verify_locations(certifi.where())
    return context


class Client:
    """Sends requests to origins. Belongs to one event loop."""

    def __init__(
        self, policy: AddressPolicy, *, head_timeout: float, context: ssl.SSLContext | None = None
    ) -> None:
        """`head_timeout` is in seconds, from connecting to the end of the head.

        To load the authorities takes some 50 ms: who makes many clients gives each the same.
        """
        self._policy = policy
        self.head_timeout = head_timeout
        context = context or trust()
        self._sessions = {
            scheme: aiohttp.ClientSession(
                connector=Connector(policy, scheme, context),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
                read_bufsize=NARROW.reads,
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            )
            for scheme in ("http", "https")
        }
        for session in self._sessions.values():
            # Whoever asks decides whether to ask again: twice two attempts would be four.
            session._retry_connection = False

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    async def address(self, url: str) -> str:
        """The address that a connection for `url` may go to, for whoever makes it in our place.

        Raises `AddressForbiddenError` or `UnreachableError`.
        """
        parts = self._policy.check_url(url)
        connector = self._sessions[parts.scheme].connector
        assert isinstance(connector, Connector)
        try:
            found = await connector.look_up(parts.hostname or "", parts.port)
        except OSError as exc:
            raise UnreachableError from exc
        return found

    async def request(
        self, method: str, url: str, fields: Mapping[str, str], data: bytes | None = None
    ) -> Incoming:
        """The head of the answer, with the body still to be read. Follows no redirect.

        Raises an `OriginError`: `AddressForbiddenError`, `UnreachableError`, `OriginTimeoutError`
        or `ProtocolError`.
        """
        parts = self._policy.check_url(url)
        try:
            async with asyncio.timeout(self.head_timeout):
                response = await self._sessions[parts.scheme].request(
                    method,
                    URL(url, encoded=True),
                    headers=fields,
                    data=data,
                    allow_redirects=False,
                )
        except AddressForbiddenError:
            raise
        except TimeoutError as exc:
            raise OriginTimeoutError from exc
        except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError, ValueError):
            # The library's own message repeats what the origin sent, which may be what it was sent:
            # a secret. It must not stand in a traceback either.
            raise ProtocolError from None
        except (aiohttp.ClientError, OSError) as exc:
            raise UnreachableError from exc
        return self._checked(url, response)

    def _checked(self, url: str, response: aiohttp.ClientResponse) -> Incoming:
        try:
            version = response.version or (1, 0)
            framing = headers.framing(version, response.status, response.raw_headers)
        except headers.FramingError as exc:
            HttpBody(response).abort()
            raise ProtocolError(f"The source's answer is not valid HTTP: {exc}.") from exc
        fields: dict[str, str] = {}
        for name, value in response.headers.items():
            # Fields of one name are one list (RFC 9110 section 5.3).
            known = name.strip().lower()
            fields[known] = ", ".join([*filter(None, [fields.get(known)]), value])
        return Incoming(url, response.status, fields, framing.length, HttpBody(response))
