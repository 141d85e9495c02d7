"""What users download, and what an origin makes of it."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.functional.origin import Connection, Request, Script, head

WHOLE = random.Random(1).randbytes(1_500_000)
PIECES = 30
_PIECE = len(WHOLE) // PIECES


@dataclass(frozen=True)
class Case:
    """`made` gives an origin that takes so many seconds. `comes`: the file arrives whole, unless
    something of ours dies."""

    name: str
    made: Callable[[float], Script]
    comes: bool = True


def _whole(seconds: float) -> Script:
    def script(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {len(WHOLE)}", 'ETag: "v1"', "Accept-Ranges: bytes"))
        _pour(connection, WHOLE, seconds)

    return script


def _unsized(seconds: float) -> Script:
    def script(_: Request, connection: Connection) -> None:
        connection.send(head("Transfer-Encoding: chunked"))
        for begin in range(0, len(WHOLE), _PIECE):
            piece = WHOLE[begin : begin + _PIECE]
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            time.sleep(seconds / PIECES)
        connection.send(b"0\r\n\r\n")

    return script


def _breaking(seconds: float) -> Script:
    """Breaks off in the middle, and has the rest for who asks again."""

    def script(request: Request, connection: Connection) -> None:
        fields = ['ETag: "v1"', "Accept-Ranges: bytes"]
        ranges = request.values("range")
        first = int(ranges[0].removeprefix("bytes=").partition("-")[0]) if ranges else 0
        rest = WHOLE[first:]
        fields.append(f"Content-Length: {len(rest)}")
        if ranges:
            fields.append(f"Content-Range: bytes {first}-{len(WHOLE) - 1}/{len(WHOLE)}")
            connection.send(head(*fields, status="206 Partial Content"))
            _pour(connection, rest, seconds / 2)
        else:
            connection.send(head(*fields))
            _pour(connection, rest[: len(rest) // 2], seconds / 2)
            connection.reset()

    return script


def _lost(seconds: float) -> Script:
    """Breaks off, and nothing says that another answer would be of the same version."""

    def script(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {len(WHOLE)}"))
        _pour(connection, WHOLE[: len(WHOLE) // 3], seconds)
        connection.reset()

    return script


def _pour(connection: Connection, data: bytes, seconds: float) -> None:
    for begin in range(0, len(data), _PIECE):
        connection.send(data[begin : begin + _PIECE])
        time.sleep(seconds / PIECES)


CASES = (
    Case("whole", _whole),
    Case("without a length", _unsized),
    Case("breaks off and is resumed", _breaking),
    Case("breaks off for good", _lost, comes=False),
)
