"""One connection to an origin: aiohttp's own, with our reading of bodies.

aiohttp parses the heads. Bodies it would read too leniently: a malformed chunk leaves their reader
waiting for ever, a reset connection ends a body without length as if it were whole, and trailers,
in which Lambda reports a failure midway, are dropped unseen. `wire.body` reads them instead, and
with two copies less of each byte.
"""

import re
import select
from typing import Any

from aiohttp import ClientPayloadError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import set_exception
from aiohttp.http_exceptions import HttpProcessingError

from streams.net.pace import NARROW, Pace
from streams.wire import body, headers

LONGEST_HEAD = 64 * 1024
_BEGINNING = b"HTTP/1."
# A single LF is taken for a line's end in a head (RFC 9112 section 2.2), and nowhere else.
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_NOTHING = memoryview(b"")


class Connection(ResponseHandler):
    """aiohttp's protocol for one origin connection."""

    def __init__(self, loop: Any) -> None:
        super().__init__(loop)
        # How many bytes are taken from the kernel at once.
        self.reads = NARROW.reads
        self._head = b""
        # Of the latest response; None while there is none, or none with a body.
        self.decoder: body.Decoder | None = None

    def is_quiet(self) -> bool:
        """Whether nothing has come that the event loop has not read yet; nor the end."""
        assert self.transport is not None
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def set_response_params(self, **params: Any) -> None:
        """A request goes out."""
        self.decoder = None
        self.reads = NARROW.reads
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """`data` was read. aiohttp calls this with nothing when it resumes."""
        if data:
            self.view_received(memoryview(data))

    def view_received(self, data: memoryview) -> None:
        """`data` was read; it is good until this returns."""
        while data:
            if self.decoder is not None and not self.decoder.done:
                self._take_body(self.decoder, data)
                return
            data = self._take_head(data)

    def _take_head(self, data: memoryview) -> memoryview:
        """Gives what is left: of the body, or of the head that follows an interim one."""
        if self._parser is None:
            # Nobody asked for this. The next request must not take it for its answer.
            self._refuse()
            return _NOTHING
        held, self._head = self._head + bytes(data), b""
        if not _BEGINNING.startswith(held[: len(_BEGINNING)]):
            # What another version means, nobody knows here (RFC 9110 section 2.5).
            self._refuse_head("it does not begin as HTTP/1 does")
            return _NOTHING
        end = _END_OF_HEAD.search(held)
        if end is None:
            self._head = held
            if len(held) > LONGEST_HEAD:
                self._refuse_head("the head is too long")
            return _NOTHING
        # This gives `feed_data` the message.
        super().data_received(held[: end.end()])
        return memoryview(held)[end.end() :] if self._exception is None else _NOTHING

    def _refuse_head(self, why: str) -> None:
        self.set_exception(HttpProcessingError(message=why))
        self._refuse()

    def feed_data(self, data: Any, size: int = 0) -> None:
        """A head has been parsed."""
        message, reader = data
        if reader.is_eof():
            if message.code >= 200:
                self._parser = None
        else:
            try:
                framing = headers.framing(message.version, message.code, message.raw_headers)
            except headers.FramingError:
                # Whoever asked finds the same in this head and drops the connection.
                framing = headers.Framing(None, chunked=False)
            self.decoder = body.decoder(framing)
        super().feed_data(data, size)

    def _take_body(self, decoder: body.Decoder, data: memoryview) -> None:
        reader = self._payload
        if reader is None:
            return
        try:
            piece = decoder.feed(data)
        except body.MalformedError as exc:
            self._fail_body(exc)
            self._refuse()
            return
        if piece:
            reader.feed_data(piece)
        if decoder.done:
            self._end_body(reader, reusable=not decoder.surplus)

    def _refuse(self) -> None:
        self.force_close()
        if self.transport is not None:
            self.transport.abort()

    def _end_body(self, reader: StreamReader, *, reusable: bool) -> None:
        if not reusable:
            self.force_close()
        # aiohttp's parser still waits for the body. Each request gets a new one.
        self._parser = self._payload = None
        reader.feed_eof()

    def connection_lost(self, exc: BaseException | None) -> None:
        decoder, reader = self.decoder, self._payload
        if decoder is not None and not decoder.done and reader is not None:
            if exc is None and decoder.may_end():
                self._end_body(reader, reusable=False)
            else:
                self._fail_body(exc or ConnectionError())
                self._parser = self._payload = None
        super().connection_lost(exc)

    def set_exception(self, exc: Any, *cause: Any) -> None:
        super().set_exception(exc, *cause)
        self._fail_body(exc)

    def _fail_body(self, exc: BaseException) -> None:
        reader = self._payload
        if isinstance(reader, StreamReader) and not reader.is_eof() and reader.exception() is None:
            set_exception(reader, ClientPayloadError(type(exc).__name__))

    def set_pace(self, reader: StreamReader, pace: Pace) -> None:
        """Reads ahead as far as suits the client."""
        self.reads = pace.reads
        reader._low_water, reader._high_water = pace.reads, pace.reads * 2
