"""The error report that Lambda's runtimes put behind a body that they could not finish.

AWS's own runtimes send it as HTTP trailers. Lambda Web Adapter's Rust runtime writes the same lines
into the tail of the body, where they look like data and the end looks clean.
"""

import re

_MARK = b"Lambda-Runtime-Function-Error-Type:"
_REPORT = re.compile(
    _MARK + rb"[ \t]*[^\r\n]{0,256}\r\n"
    rb"(?:Lambda-Runtime-Function-Error-Body:[ \t]*[A-Za-z0-9+/=]*\r\n)?(?:\r\n)?"
)
# An error's type and message in base64; more than that is data.
LONGEST = 1024 * 1024
# Only so much of each chunk's end is searched: the whole would cost a quarter of the relay's time.
# Where a long message goes on beyond that, the chunk ends in the middle of base64.
_SEARCHED = 8 * 1024
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\r\n]{64}")


class TrailerGuard:
    """Holds back the end of a body for as long as it may be an error report.

    Holds at most a megabyte and a chunk, and nothing in the ordinary case.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What may be delivered of what has come so far; may be empty."""
        data = self._held + chunk if self._held else chunk
        longest = LONGEST if _BASE64.fullmatch(data[-64:]) else _SEARCHED
        start = data.rfind(_MARK, max(0, len(data) - longest))
        if start < 0:
            start = len(data) - _begun(data)
        self._held = data[start:]
        return data[:start] if self._held else data

    def finish(self) -> bytes:
        """The held bytes, which are data after all. Raises `ErrorReportError` if they are not."""
        held, self._held = self._held, b""
        if _REPORT.fullmatch(held):
            raise ErrorReportError
        return held


class ErrorReportError(Exception):
    """The body ends in an error report: the function failed midway."""


def _begun(data: bytes) -> int:
    """How many of the last bytes may be the beginning of the mark."""
    start = data.find(b"L", max(0, len(data) - len(_MARK) + 1))
    while start >= 0:
        if _MARK.startswith(data[start:]):
            return len(data) - start
        start = data.find(b"L", start + 1)
    return 0


def is_report(trailers: bytes) -> bool:
    """Whether the trailers of a chunked response hold the report."""
    return _MARK.lower() in trailers.lower()
