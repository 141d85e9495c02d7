"""The runtime: takes invocations one after another and streams what the handler answers.

Python's managed runtime takes whole bytes only. `python3 -m spillway_lambda.runtime` stands in its
place; `bootstrap` starts it.
"""

import importlib
import json
import os
import sys
from collections.abc import Generator
from http import HTTPStatus
from itertools import chain

from spillway_lambda.invocation import Invocation, method
from spillway_lambda.logs import log
from spillway_lambda.runtime_api import (
    PlatformGoneError,
    ResponseRefusedError,
    RuntimeApi,
    RuntimeApiError,
    report_of,
)
from spillway_lambda.streaming import Handler, Head, HttpError, Response

SEPARATOR = b"\0" * 8
BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


def main() -> None:
    """Serves until Lambda ends the process; exits with 1 where it cannot begin or go on."""
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = load_handler(os.environ["_HANDLER"], os.environ.get("LAMBDA_TASK_ROOT", ""))
    # SystemExit too: a module that leaves while it is imported has failed to load.
    except BaseException as exc:
        log("init_failed", **report_of(exc))
        api.init_error(exc)
        raise SystemExit(1) from exc
    try:
        while True:
            serve_one(api, handler)
    except RuntimeApiError as exc:
        log("runtime_api_lost", reason=str(exc))
        raise SystemExit(1) from exc


def load_handler(name: str, root: str) -> Handler:
    """The handler `module.function` under `root`. Raises what its import raises."""
    module, _, function = name.rpartition(".")
    if not module or not function:
        raise ValueError(f"_HANDLER is {name!r}; expected module.function")
    if root and root not in sys.path:
        sys.path.insert(0, root)
    handler: Handler = getattr(importlib.import_module(module.replace("/", ".")), function)
    return handler


def serve_one(api: RuntimeApi, handler: Handler) -> None:
    """Takes one invocation and answers it. Raises `RuntimeApiError` where none is to be had."""
    invocation = api.next()
    request_id = invocation.context.aws_request_id
    try:
        prelude, pieces = _begin(handler, invocation)
    except Exception as exc:  # noqa: BLE001 - the platform answers 502 for it
        log("invocation_failed", request_id=request_id, **report_of(exc))
        api.invocation_error(request_id, exc)
        return
    try:
        api.stream(request_id, chain([prelude], pieces))
    except PlatformGoneError as exc:
        log("platform_gone", request_id=request_id, reason=str(exc))
    except ResponseRefusedError as exc:
        log("response_refused", request_id=request_id, status=exc.status)
    finally:
        _close(pieces, request_id)


def _begin(handler: Handler, invocation: Invocation) -> tuple[bytes, Generator[bytes, None, None]]:
    """The prelude and what follows it. Until these are here, an error can have its own status."""
    head_only = method(invocation.event) == "HEAD"
    try:
        pieces = _pieces(_response(handler, invocation), head_only=head_only)
        return next(pieces), pieces
    except HttpError as exc:
        log(
            "http_error",
            request_id=invocation.context.aws_request_id,
            status=exc.status,
            code=exc.code,
            cause=type(exc.__cause__).__name__ if exc.__cause__ else None,
        )
        pieces = _pieces(exc.response(), head_only=head_only)
        return next(pieces), pieces


def _response(handler: Handler, invocation: Invocation) -> Response:
    response = handler(invocation.event, invocation.context)
    if not isinstance(response, Response):
        raise TypeError(
            f"The handler gave {type(response).__name__}, not a Response. "
            "Put @streamify on it if it is a generator."
        )
    return response


def _pieces(response: Response, *, head_only: bool) -> Generator[bytes, None, None]:
    """The prelude, held back until the first bytes are here, and then the body."""
    bodiless = head_only or response.status in BODILESS
    try:
        body = map(_bytes, () if bodiless else response.body)
        first = next(filter(None, body), b"")
        yield _prelude(response)
        yield first
        yield from body
    finally:
        if close := getattr(response.body, "close", None):
            close()


def _prelude(head: Head) -> bytes:
    metadata = {
        "statusCode": int(head.status),
        "headers": {name: str(value) for name, value in head.headers.items()},
        "cookies": list(head.cookies),
    }
    return json.dumps(metadata).encode() + SEPARATOR


def _bytes(piece: object) -> bytes:
    if isinstance(piece, bytes | bytearray | memoryview):
        return bytes(piece)
    raise TypeError(f"The body yielded {type(piece).__name__}; expected bytes.")


def _close(pieces: Generator[bytes, None, None], request_id: str) -> None:
    """Lets the handler end what it holds open; its failure must not end the runtime."""
    try:
        pieces.close()
    except Exception as exc:  # noqa: BLE001 - the response is over, one can only tell
        log("close_failed", request_id=request_id, **report_of(exc))


if __name__ == "__main__":
    main()
