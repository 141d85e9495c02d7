"""TLS towards an origin, of which no more is held than suits the reader.

The event loop's own TLS keeps buffers of 256 KiB for each connection, and fills them while nobody
reads. A thousand slow downloads from function URLs, which are always TLS, would pay for that.
"""

import asyncio
import contextlib
import ssl
from typing import Any

from streams.net.connection import Connection
from streams.net.scratch import LARGEST, Scratch, view

_PLAIN = view()


class Tls(Scratch, asyncio.Transport):
    """The protocol of a TCP connection, and the transport of the HTTP connection above it."""

    def __init__(
        self, context: ssl.SSLContext, hostname: str, below: asyncio.Transport, above: Connection
    ) -> None:
        super().__init__(above)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self._context = context
        self._below = below
        self._established = asyncio.get_running_loop().create_future()
        self._up = False
        self._paused = False
        self._decrypting = False
        # Why the connection ended, where its own end does not tell.
        self._cause: Exception | None = None
        self._ended = False

    async def handshake(self) -> None:
        """Takes the connection over. Raises `ssl.SSLError`, or what else ended it."""
        self._below.set_protocol(self)
        self._shake()
        try:
            await self._established
        except BaseException:
            self._below.abort()
            raise
        self._above.connection_made(self)

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as exc:
            self._give_up(exc)
        else:
            self._up = True
            self._established.set_result(None)
        # Also what tells the origin that we do not trust it.
        self._flush()

    def _give_up(self, exc: Exception) -> None:
        if not self._established.done():
            self._established.set_exception(exc)

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._below.write(self._outgoing.read())

    # As the protocol of the connection below.

    def buffer_updated(self, nbytes: int) -> None:
        self._incoming.write(self._buffer[:nbytes])
        if not self._established.done():
            self._shake()
        self._decrypt()

    def eof_received(self) -> None:
        self._paused = False
        self._decrypt()
        if not self._ended:
            # Whoever can break a connection can end it, but not in the origin's name
            # (RFC 8446 section 6.1): this must not pass for the end of a body.
            self._cause = self._cause or ssl.SSLEOFError("no close_notify")

    def connection_lost(self, exc: Exception | None) -> None:
        self._give_up(exc or self._cause or ConnectionResetError("closed in the handshake"))
        super().connection_lost(exc or self._cause)

    def _decrypt(self) -> None:
        """Hands on what there is, until the reader has enough."""
        if self._decrypting or not self._up:
            return
        self._decrypting = True
        try:
            while not self._paused and (count := self._read()):
                self._above.view_received(_PLAIN[:count])
        except ssl.SSLError as exc:
            self._cause = exc
            self._below.abort()
        finally:
            self._decrypting = False
        if self._ended:
            self._below.close()
        elif not self._below.is_closing():
            self._flush()

    def _read(self) -> int:
        """Fills the buffer as far as whole records have come."""
        filled, wanted, read = 0, min(self._above.reads, LARGEST), self._tls.read
        with contextlib.suppress(ssl.SSLWantReadError):
            while filled < wanted:
                count: Any = read(wanted - filled, _PLAIN[filled:])
                if not count:
                    self._ended = True
                    break
                filled += count
        return filled

    # As the transport of the connection above.

    def write(self, data: Any) -> None:
        self._tls.write(data)
        self._flush()

    def pause_reading(self) -> None:
        self._paused = True
        self._below.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        self._decrypt()
        if not self._paused and not self._below.is_closing():
            self._below.resume_reading()

    def is_closing(self) -> bool:
        return self._below.is_closing()

    def close(self) -> None:
        if not self._below.is_closing():
            # Says that we are done; what the origin answers to that interests nobody.
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
            self._flush()
        self._below.close()

    def abort(self) -> None:
        self._below.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        own = {"ssl_object": self._tls, "sslcontext": self._context}
        return own.get(name) or self._below.get_extra_info(name, default)
