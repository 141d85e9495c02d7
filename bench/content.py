"""The bytes that the origin sends, known to both ends."""

import random
import zlib

PIECE = 1024 * 1024
CHUNK = 16 * 1024
LAST_CHUNK = b"0\r\n\r\n"


def piece() -> bytes:
    """What every body repeats. It does not compress."""
    return random.Random(1).randbytes(PIECE)


def chunked(data: bytes | memoryview) -> bytes:
    """`data` in chunks of 16 KiB, without the last chunk."""
    parts = []
    for start in range(0, len(data), CHUNK):
        part = data[start : start + CHUNK]
        parts += [b"%x\r\n" % len(part), part, b"\r\n"]
    return b"".join(parts)


def checksum(size: int) -> int:
    """CRC-32 of a body of `size` bytes."""
    content, crc = piece(), 0
    for _ in range(size // PIECE):
        crc = zlib.crc32(content, crc)
    return zlib.crc32(content[: size % PIECE], crc)
