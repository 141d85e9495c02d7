"""The event stream of `InvokeWithResponseStream`, decoded with botocore's own decoder."""

import json
from collections.abc import Iterator
from typing import Any

from botocore.eventstream import EventStreamBuffer, ParserError

PAYLOAD = "PayloadChunk"
COMPLETE = "InvokeComplete"


class EventStreamError(ValueError):
    """Not an event stream, or AWS reports an exception in it. Bears a code of AWS's, if any."""

    def __init__(self, aws_code: str = "") -> None:
        super().__init__(aws_code)
        self.aws_code = aws_code


class Events:
    """Takes the bytes of a response as they come and gives its events."""

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """The type and payload of each event that is now whole. Raises `EventStreamError`."""
        self._buffer.add_data(data)
        try:
            for message in self._buffer:
                headers: Any = message.headers
                if headers.get(":message-type") != "event":
                    code = headers.get(":exception-type") or headers.get(":error-code") or ""
                    raise EventStreamError(str(code))
                yield str(headers.get(":event-type", "")), message.payload
        except ParserError as exc:
            raise EventStreamError from exc


def error_code(payload: bytes) -> str:
    """The `ErrorCode` of an `InvokeComplete`; empty for a success.

    `ErrorDetails` is the function's own text, and not repeated.
    """
    try:
        said: Any = json.loads(payload) if payload.strip() else {}
    except ValueError:
        return "Unknown"
    code = said.get("ErrorCode") if isinstance(said, dict) else "Unknown"
    return str(code or "")
