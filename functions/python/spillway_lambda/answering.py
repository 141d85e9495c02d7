"""The beginning of an answer: a handler is called, and its first bytes are awaited.

Until these are here an error can still have a status of its own; whoever sends the answer, to
Lambda or over HTTP, sends nothing before.
"""

from collections.abc import Generator
from http import HTTPStatus
from typing import NamedTuple

from spillway_lambda.invocation import Invocation, method
from spillway_lambda.logs import log, report_of
from spillway_lambda.streaming import Handler, Head, HttpError, Response

BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


class Begun(NamedTuple):
    """A head, and the body whose first piece is made. The body must be closed."""

    head: Head
    pieces: Generator[bytes, None, None]


def begin(handler: Handler, invocation: Invocation) -> Begun:
    """Calls the handler. An `HttpError` is an answer; whatever else it raises comes through."""
    head_only = method(invocation.event) == "HEAD"
    try:
        return _begun(_response(handler, invocation), head_only=head_only)
    except HttpError as exc:
        log(
            "http_error",
            request_id=invocation.context.aws_request_id,
            status=exc.status,
            code=exc.code,
            cause=type(exc.__cause__).__name__ if exc.__cause__ else None,
        )
        return _begun(exc.response(), head_only=head_only)


def close(pieces: Generator[bytes, None, None], request_id: str) -> None:
    """Lets the handler end what it holds open; its failure must not end the process."""
    try:
        pieces.close()
    except Exception as exc:  # noqa: BLE001 - the response is over, one can only tell
        log("close_failed", request_id=request_id, **report_of(exc))


def _response(handler: Handler, invocation: Invocation) -> Response:
    response = handler(invocation.event, invocation.context)
    if not isinstance(response, Response):
        raise TypeError(
            f"The handler gave {type(response).__name__}, not a Response. "
            "Put @streamify on it if it is a generator."
        )
    return response


def _begun(response: Response, *, head_only: bool) -> Begun:
    pieces = _pieces(response, head_only=head_only)
    # To its first yield, which comes when the first bytes are here.
    next(pieces)
    return Begun(response, pieces)


def _pieces(response: Response, *, head_only: bool) -> Generator[bytes, None, None]:
    """Nothing, as soon as the first bytes are here or there are none, and then the body."""
    bodiless = head_only or response.status in BODILESS
    try:
        body = map(_bytes, () if bodiless else response.body)
        first = next(filter(None, body), b"")
        yield b""
        yield first
        yield from body
    finally:
        if closing := getattr(response.body, "close", None):
            closing()


def _bytes(piece: object) -> bytes:
    if isinstance(piece, bytes | bytearray | memoryview):
        return bytes(piece)
    raise TypeError(f"The body yielded {type(piece).__name__}; expected bytes.")
