"""What a handler answers: status and header fields first, then the body as it is made.

The runtime knows one kind of handler, which returns a `Response`. A generator becomes one by
`streamify`, and whatever else yields bytes can be made one in the same place.
"""

import functools
import json
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spillway_lambda.invocation import Context, Event

if TYPE_CHECKING:
    from spillway_lambda.asynchronous import Driven


@dataclass(frozen=True)
class Head:
    """The metadata that Lambda sends before the body."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError(f"{self.status} is not the status of an answer; it is from 200 to 599")


@dataclass(frozen=True)
class Response(Head):
    """A head with its body. A body that has `close` is closed however the response ends."""

    body: Iterable[bytes] = ()


Handler = Callable[[Event, Context], Response]
Streaming = Callable[[Event, Context], Iterator[Head | bytes] | AsyncIterator[Head | bytes]]


class HttpError(Exception):
    """Raised before the first byte: becomes a small JSON body under its own status."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def response(self) -> Response:
        body = json.dumps({"error": {"code": self.code, "message": self.message}}).encode()
        fields = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
        }
        return Response(self.status, fields | self.headers, body=[body])


def streamify(function: Streaming) -> Handler:
    """Makes a handler of a generator function that yields a `Head` first, and then bytes.

    The generator may be an async one. What it raises before its first bytes can still become an
    answer with a status of its own.
    """

    @functools.wraps(function)
    def handler(event: Event, context: Context) -> Response:
        pieces = _generator(function(event, context))
        head = next(pieces, None)
        if not isinstance(head, Head):
            pieces.close()
            raise TypeError(f"It yielded {type(head).__name__} first; yield a Head before bytes.")
        # From here on it yields bytes; whoever sends them refuses anything else.
        return Response(head.status, head.headers, head.cookies, pieces)  # type: ignore[arg-type]

    return handler


def _generator(made: object) -> "Generator[Head | bytes, None, None] | Driven[Head | bytes]":
    if isinstance(made, Generator):
        return made
    if isinstance(made, AsyncGenerator):
        # Only here, because it takes a part of a cold start that most handlers need not pay.
        from spillway_lambda.asynchronous import Driven

        return Driven(made)
    if isinstance(made, Coroutine):
        # It will never be awaited, and Python would complain about that instead.
        made.close()
    raise TypeError(
        f"The function under @streamify gave {type(made).__name__}, not a generator. "
        "Yield a Head in it, and then bytes."
    )
