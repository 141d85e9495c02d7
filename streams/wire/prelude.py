"""The head of a streaming function's answer: JSON, eight NULs, then the body.

How Lambda's runtimes send status and headers before a streamed body
(`MEDIA_TYPE`). A URL in RESPONSE_STREAM mode takes it off, in another it is part of the file;
`InvokeWithResponseStream` hands it on as the first bytes of the payload, split anywhere.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

MEDIA_TYPE = "application/vnd.awslambda.http-integration-response"
END = b"\0" * 8
LONGEST = 64 * 1024


class PreludeError(ValueError):
    """These bytes are no prelude."""


@dataclass(frozen=True)
class Prelude:
    """`headers` have lower-case names; cookies are dropped."""

    status: int
    headers: Mapping[str, str]


class PreludeReader:
    """Takes the first bytes of a payload until the prelude is whole."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> tuple[Prelude, bytes] | None:
        """The prelude and the first bytes of the body; None while more is needed.

        Raises `PreludeError`.
        """
        self._held += data
        end = self._held.find(END)
        if end < 0:
            if len(self._held) > LONGEST or self._held[:1] not in {b"", b"{"}:
                raise PreludeError("no end of the prelude")
            return None
        if end > LONGEST:
            raise PreludeError("the prelude is too long")
        return parse(self._held[:end]), self._held[end + len(END) :]


def parse(text: bytes) -> Prelude:
    """Raises `PreludeError` for anything but an object with a final status and header fields."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise PreludeError("the prelude is not JSON") from exc
    if not isinstance(said, dict):
        raise PreludeError("the prelude is not an object")
    status, fields = said.get("statusCode", 200), said.get("headers")
    if fields is None:
        fields = {}
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 599:
        raise PreludeError("the prelude's status is none")
    if not isinstance(fields, dict):
        raise PreludeError("the prelude's headers are no object")
    return Prelude(
        status,
        {
            str(name).lower(): str(value)
            for name, value in fields.items()
            if isinstance(value, str | int | float)
        },
    )
