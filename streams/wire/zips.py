"""A zip file that is written front to back: stored members, whose CRC-32 follows their bytes.

After APPNOTE.TXT 6.3.10 of PKWARE; the numbers of its sections stand beside the structures. What
is written of a member is as long whatever its CRC-32, so that the length of all is known before.
"""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

# In sizes, offsets and counts: it stands in the ZIP64 record (4.4.1.4).
FULL, FULL_COUNT = 0xFFFFFFFF, 0xFFFF
# Sizes and CRC-32 follow the bytes (bit 3), and names are UTF-8 (bit 11): 4.4.4.
_FLAGS = 0x0808
_PLAIN_VERSION, _WIDE_VERSION = 20, 45
_UNIX = 3 << 8
# A file that its owner may write, and everybody read.
_MODE = 0o100644 << 16
_ANY = datetime(1980, 1, 1, tzinfo=UTC)


@dataclass
class _Entry:
    name: bytes
    time: int
    date: int
    offset: int
    # Written with sizes of 8 bytes.
    wide: bool
    size: int = 0
    crc: int = 0


class Writer:
    """The bytes around those of the members, in order: `begin`, the bytes, `end`, `finish`."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._at = 0

    def begin(self, name: str, size: int | None, modified: datetime) -> bytes:
        """What stands before a member's bytes. `size` is None where it is not known yet.

        `modified` is told without its zone, as the format has it.
        """
        year = min(max(modified.year, 1980), 2107)
        entry = _Entry(
            name.encode(),
            modified.hour << 11 | modified.minute << 5 | modified.second // 2,
            (year - 1980) << 9 | modified.month << 5 | modified.day,
            self._at,
            size is None or size >= FULL,
        )
        self._entries.append(entry)
        return self._passed(_local(entry))

    def end(self, size: int, crc: int) -> bytes:
        """What stands after them, now that their number and CRC-32 are known."""
        entry = self._entries[-1]
        entry.size, entry.crc = size, crc
        if size >= FULL and not entry.wide:
            raise ValueError("a member is larger than was said")
        self._at += size
        # 4.3.9: data descriptor.
        form = "<4sIQQ" if entry.wide else "<4sIII"
        return self._passed(struct.pack(form, b"PK\7\10", crc, size, size))

    def finish(self) -> bytes:
        """The directory, and the end."""
        directory = b"".join(_central(entry) for entry in self._entries)
        return directory + _end(len(self._entries), len(directory), self._at)

    def _passed(self, data: bytes) -> bytes:
        self._at += len(data)
        return data


def crc32(data: bytes) -> int:
    """Of a member that is at hand as a whole."""
    return zlib.crc32(data)


def length(members: Iterable[tuple[str, int]]) -> int:
    """Of a whole zip with members of these names and sizes, in bytes."""
    writer, total = Writer(), 0
    for name, size in members:
        total += len(writer.begin(name, size, _ANY)) + size + len(writer.end(size, 0))
    return total + len(writer.finish())


def _local(entry: _Entry) -> bytes:
    """4.3.7: local file header. Of sizes that follow it says nothing but how wide they are."""
    size = FULL if entry.wide else 0
    extra = struct.pack("<HHQQ", 1, 16, 0, 0) if entry.wide else b""
    fixed = struct.pack(
        "<4sHHHHHIIIHH",
        b"PK\3\4", _WIDE_VERSION if entry.wide else _PLAIN_VERSION, _FLAGS, 0,
        entry.time, entry.date, 0, size, size, len(entry.name), len(extra),
    )  # fmt: skip
    return fixed + entry.name + extra


def _central(entry: _Entry) -> bytes:
    """4.3.12: central directory header; what does not fit stands in the ZIP64 field (4.5.3)."""
    wide = [value for value in (entry.size, entry.size, entry.offset) if value >= FULL]
    extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    version = _WIDE_VERSION if entry.wide or wide else _PLAIN_VERSION
    size = min(entry.size, FULL)
    fixed = struct.pack(
        "<4sHHHHHHIIIHHHHHII",
        b"PK\1\2", _UNIX | version, version, _FLAGS, 0, entry.time, entry.date, entry.crc,
        size, size, len(entry.name), len(extra), 0, 0, 0, _MODE, min(entry.offset, FULL),
    )  # fmt: skip
    return fixed + entry.name + extra


def _end(count: int, size: int, offset: int) -> bytes:
    """4.3.14 to 4.3.16: where the directory is."""
    wide = b""
    if count >= FULL_COUNT or size >= FULL or offset >= FULL:
        wide = struct.pack(
            "<4sQHHIIQQQQ",
            b"PK\6\6", 44, _UNIX | _WIDE_VERSION, _WIDE_VERSION, 0, 0, count, count, size, offset,
        )  # fmt: skip
        wide += struct.pack("<4sIQI", b"PK\6\7", 0, offset + size, 1)
    few = min(count, FULL_COUNT)
    return wide + struct.pack(
        "<4sHHHHIIH", b"PK\5\6", 0, 0, few, few, min(size, FULL), min(offset, FULL), 0
    )
