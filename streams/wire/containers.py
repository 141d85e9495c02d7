"""Files that say themselves where they end: gzip, zip, Parquet; and lines, which only hint at it.

For a body of unknown length this is the only proof there is. What does not look like such a file is
never refused: only one that begins as one, is declared as one, and breaks off.
"""

import re
import zlib
from typing import Protocol

# A zip file's end record, with the longest comment (APPNOTE.TXT section 4.3.16).
_ZIP_END = b"PK\x05\x06"
_ZIP_TAIL = 22 + 0xFFFF
# A gzip file that unpacks to more than so many times its size, and so much, is followed no more.
MOST_RATIO = 100
_ALLOWED = 64 * 1024 * 1024
_STEP = 64 * 1024

_GZIP = re.compile(r"application/(?:x-)?gzip|.*\+gzip|.*\.t?gz", re.IGNORECASE)
_ZIP = re.compile(
    r"application/(?:zip|x-zip-compressed|java-archive|vnd\.openxmlformats.*)"
    r"|.*\.(?:zip|jar|xlsx|docx|pptx|epub)",
    re.IGNORECASE,
)
_PARQUET = re.compile(r"application/vnd\.apache\.parquet|.*\.parquet", re.IGNORECASE)
_LINES = re.compile(
    r"application/(?:x-)?(?:nd-?json|jsonl(?:ines)?)|text/(?:csv|plain|tab-separated-values)"
    r"|.*\.(?:ndjson|jsonl|csv|tsv|txt)",
    re.IGNORECASE,
)


class Container(Protocol):
    """Takes a file in order. `ended` is None where it cannot say."""

    # What it is called in a record.
    name: str
    # Breaking off is certain, not only likely.
    certain: bool

    def update(self, data: bytes | memoryview, /) -> None: ...
    def ended(self) -> bool | None: ...


class GzipEnd:
    """Unpacks, checks each member's CRC and length (RFC 1952), and throws the result away."""

    name = "gzip"
    certain = True

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._in = self._out = 0
        self._started = False
        self._lost = False

    def update(self, data: bytes | memoryview) -> None:
        self._in += len(data)
        rest = bytes(data)
        while not self._lost and (rest := self._of_member(rest)):
            self._started = True
            try:
                self._out += len(self._member.decompress(rest, _STEP))
            except zlib.error:
                self._lost = True
                return
            # At its end, zlib calls what follows unconsumed as well.
            ended = self._member.eof
            rest = self._member.unused_data if ended else self._member.unconsumed_tail
            if self._out > MOST_RATIO * self._in + _ALLOWED:
                self._started, self._lost = False, True

    def _of_member(self, rest: bytes) -> bytes:
        """What is for the member at hand: behind one that has ended, the next, after zeros."""
        if self._member.eof:
            rest = rest.lstrip(b"\0")
            if rest:
                self._member = zlib.decompressobj(wbits=31)
        return rest

    def ended(self) -> bool | None:
        if not self._started:
            return None
        return self._member.eof and not self._lost


class ZipEnd:
    """Looks for the end record behind the central directory."""

    name = "zip"
    certain = True

    def __init__(self) -> None:
        self._tail = b""

    def update(self, data: bytes | memoryview) -> None:
        self._tail = (self._tail + bytes(data[-_ZIP_TAIL:]))[-_ZIP_TAIL:]

    def ended(self) -> bool | None:
        at = self._tail.rfind(_ZIP_END)
        while at >= 0:
            comment = self._tail[at + 20 : at + 22]
            if len(comment) == 2 and len(self._tail) == at + 22 + int.from_bytes(comment, "little"):
                return True
            at = self._tail.rfind(_ZIP_END, 0, at)
        return False


class ParquetEnd:
    """Looks for the magic number at the end."""

    name = "parquet"
    certain = True

    def __init__(self) -> None:
        self._tail = b""

    def update(self, data: bytes | memoryview) -> None:
        self._tail = (self._tail + bytes(data[-4:]))[-4:]

    def ended(self) -> bool | None:
        return self._tail == b"PAR1"


class LineEnd:
    """Whether the last line has an end: a hint, for a file may be cut between two lines."""

    name = "line"
    certain = False

    def __init__(self) -> None:
        self._last = b""

    def update(self, data: bytes | memoryview) -> None:
        self._last = bytes(data[-1:]) or self._last

    def ended(self) -> bool | None:
        return self._last == b"\n"


def declared(content_type: str, encoding: str, filename: str, first: bytes) -> Container | None:
    """What a file is, by what is said of it and by its first bytes."""
    media_type = content_type.partition(";")[0].strip()

    def is_called(pattern: re.Pattern[str]) -> bool:
        return bool(pattern.fullmatch(media_type) or pattern.fullmatch(filename))

    if encoding:
        return GzipEnd() if encoding == "gzip" and first[:1] in {b"", b"\x1f"} else None
    if first.startswith(b"\x1f\x8b") and is_called(_GZIP):
        return GzipEnd()
    if first.startswith((b"PK\x03\x04", b"PK\x05\x06")) and is_called(_ZIP):
        return ZipEnd()
    if first.startswith(b"PAR1") and is_called(_PARQUET):
        return ParquetEnd()
    return LineEnd() if is_called(_LINES) else None
