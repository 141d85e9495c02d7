"""The buffer that the event loop reads into, shared by all of its connections."""

import asyncio
from typing import Any

LARGEST = 256 * 1024


def view() -> memoryview:
    """A buffer for what is read and handed on before anything else can be read."""
    return memoryview(bytearray(LARGEST))


class Scratch(asyncio.BufferedProtocol):
    """The protocol of a TCP connection: hands what is read to the HTTP connection above it.

    What was read is copied once, to where it stays. Handed over as `bytes` by the loop it would be
    allocated at the full size first.
    """

    _buffer = view()

    def __init__(self, above: Any) -> None:
        """`above` is a `Connection`."""
        self._above = above

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer[: self._above.reads]

    def buffer_updated(self, nbytes: int) -> None:
        self._above.view_received(self._buffer[:nbytes])

    def eof_received(self) -> None:
        self._above.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._above.connection_lost(exc)

    def pause_writing(self) -> None:
        self._above.pause_writing()

    def resume_writing(self) -> None:
        self._above.resume_writing()
