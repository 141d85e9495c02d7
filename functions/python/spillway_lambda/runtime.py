"""The runtime: takes invocations one after another and streams what the handler answers.

Python's managed runtime takes whole bytes only. `python3 -m spillway_lambda.runtime` stands in its
place; `bootstrap` starts it.
"""

import json
import os
from itertools import chain

from spillway_lambda import answering
from spillway_lambda.loading import load_handler
from spillway_lambda.logs import log, report_of
from spillway_lambda.runtime_api import (
    PlatformGoneError,
    ResponseRefusedError,
    RuntimeApi,
    RuntimeApiError,
)
from spillway_lambda.streaming import Handler, Head

# Sent as a piece of its own, as AWS's runtimes do: there are readers that expect it so.
SEPARATOR = b"\0" * 8


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


def serve_one(api: RuntimeApi, handler: Handler) -> None:
    """Takes one invocation and answers it. Raises `RuntimeApiError` where none is to be had."""
    invocation = api.next()
    request_id = invocation.context.aws_request_id
    try:
        head, pieces = answering.begin(handler, invocation)
    except Exception as exc:  # noqa: BLE001 - the platform answers 502 for it
        log("invocation_failed", request_id=request_id, **report_of(exc))
        api.invocation_error(request_id, exc)
        return
    try:
        api.stream(request_id, chain([_metadata(head), SEPARATOR], pieces))
    except PlatformGoneError as exc:
        log("platform_gone", request_id=request_id, reason=str(exc))
    except ResponseRefusedError as exc:
        log("response_refused", request_id=request_id, status=exc.status)
    finally:
        answering.close(pieces, request_id)


def _metadata(head: Head) -> bytes:
    metadata = {
        "statusCode": int(head.status),
        "headers": {name: str(value) for name, value in head.headers.items()},
        "cookies": list(head.cookies),
    }
    return json.dumps(metadata).encode()


if __name__ == "__main__":
    main()
