"""Where a response's body ends: the three framings of HTTP/1.1 (RFC 9112 section 6), no I/O.

Strict: what two readers could read differently is refused. A body is never shorter than its framing
says without an error, and a chunked body's trailers are kept, for Lambda reports failures in them.
"""

import re
from typing import Protocol

from streams.wire.headers import Framing

# A chunk's size and whatever extension follows it; longer than this is an attack or a mistake.
LONGEST_LINE = 1024
LONGEST_TRAILERS = 16 * 1024
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?")
# What stands between the chunks of nearly every origin.
_BETWEEN = re.compile(rb"\r\n([0-9A-Fa-f]{1,15})\r\n")


class MalformedError(ValueError):
    """These bytes are not the body that the head announced."""


class Decoder(Protocol):
    """Takes a body as it comes from the connection, and gives what belongs to the file."""

    # The body has ended, by its own framing.
    done: bool
    # Something came after the end: the connection cannot be used again.
    surplus: bool
    trailers: bytes

    def feed(self, data: memoryview) -> bytes:
        """The part of the body that is in `data`; may be empty. Raises `MalformedError`."""

    def may_end(self) -> bool:
        """Whether an orderly end of the connection, now, is an end of the body."""


def decoder(framing: Framing) -> Decoder:
    """The decoder for a body of at least one byte that is framed like this."""
    if framing.chunked:
        return ChunkedDecoder()
    return UntilClose() if framing.length is None else LengthDecoder(framing.length)


class LengthDecoder:
    """A body of so many bytes."""

    __slots__ = ("_left", "done", "surplus", "trailers")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.surplus = False
        self.trailers = b""

    def feed(self, data: memoryview) -> bytes:
        self.surplus = len(data) > self._left
        body = bytes(data[: self._left] if self.surplus else data)
        self._left -= len(body)
        self.done = not self._left
        return body

    def may_end(self) -> bool:
        return self.done


class UntilClose:
    """A body that ends with its connection."""

    __slots__ = ("done", "surplus", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.surplus = False
        self.trailers = b""

    def feed(self, data: memoryview) -> bytes:
        return bytes(data)

    def may_end(self) -> bool:
        return True


class ChunkedDecoder:
    """A body in chunks (RFC 9112 section 7.1)."""

    __slots__ = ("_first", "_held", "_left", "_trailing", "done", "surplus", "trailers")

    def __init__(self) -> None:
        # Bytes of the current chunk that are still to come.
        self._left = 0
        # No chunk has been before the next size.
        self._first = True
        # An unfinished line, or trailers, of which the rest is to come.
        self._held = b""
        self._trailing = False
        self.done = False
        self.surplus = False
        self.trailers = b""

    def feed(self, data: memoryview) -> bytes:
        if self._held:
            data = memoryview(self._held + bytes(data))
            self._held = b""
        pieces: list[memoryview] = []
        position, end = 0, len(data)
        while position < end and not self.done:
            if self._left:
                piece = data[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
            elif self._trailing:
                position = self._read_trailers(data, position)
            else:
                position = self._read_size(data, position)
        self.surplus = self.done and position < end
        return b"".join(pieces)

    def may_end(self) -> bool:
        return self.done

    def _read_size(self, data: memoryview, position: int) -> int:
        """Reads the line before a chunk, and the end of the one before; gives where it ends."""
        usual = _BETWEEN.match(data, position)
        if usual and not self._first:
            size, length = usual[1], usual.end() - position
        else:
            line = bytes(data[position : position + LONGEST_LINE])
            start = self._end_of_chunk(line)
            stop = line.find(b"\r\n", max(start, 0))
            if start < 0 or stop < 0:
                if len(line) == LONGEST_LINE:
                    raise MalformedError("a chunk's size without an end")
                self._held = line
                return len(data)
            found = _SIZE_LINE.fullmatch(line, start, stop)
            if not found:
                raise MalformedError("a chunk's size is not a number")
            size, length = found[1], stop + 2
        self._left = int(size, 16)
        self._first = False
        self._trailing = self._left == 0
        return position + length

    def _end_of_chunk(self, line: bytes) -> int:
        """Where the size begins, behind the CRLF of the chunk before; -1 if that is to come."""
        if self._first:
            return 0
        if not b"\r\n".startswith(line[:2]):
            raise MalformedError("a chunk is longer than its size")
        return 2 if len(line) >= 2 else -1

    def _read_trailers(self, data: memoryview, position: int) -> int:
        # The CRLF of the line before belongs to the search, so that no trailers are one case of it.
        rest = b"\r\n" + bytes(data[position : position + LONGEST_TRAILERS])
        stop = rest.find(b"\r\n\r\n")
        if stop < 0:
            if len(rest) > LONGEST_TRAILERS:
                raise MalformedError("trailers without an end")
            self._held = rest[2:]
            return len(data)
        self.trailers = rest[2 : stop + 2]
        self.done = True
        return position + stop + 2
