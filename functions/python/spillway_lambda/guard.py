"""The secret header: who may call. Fails closed."""

import functools
import hmac
import os

from spillway_lambda.invocation import Context, Event, headers
from spillway_lambda.logs import log
from spillway_lambda.streaming import Handler, HttpError, Response

HEADER = "x-secret-header"
VARIABLE = "SECRET_HEADER"


def guarded(handler: Handler, *, header: str | None = None, variable: str = VARIABLE) -> Handler:
    """`handler`, for those only who bear the secret; everybody else gets a 403 and is logged.

    The header's name is `header`, else what SECRET_HEADER_NAME says, else `x-secret-header`.
    """

    # Not `updated`: the handler may be an object, whose attributes are no business of this one.
    @functools.wraps(handler, updated=())
    def guarding(event: Event, context: Context) -> Response:
        name = header or os.environ.get("SECRET_HEADER_NAME") or HEADER
        if admits(headers(event).get(name.lower(), ""), variable=variable):
            return handler(event, context)
        log(
            "refused",
            request_id=context.aws_request_id,
            # Tells a forgotten variable from a wrong caller.
            secret_set=bool(os.environ.get(variable)),
        )
        return HttpError(403, "forbidden", "The secret header is missing or wrong.").response()

    return guarding


def admits(presented: str, *, variable: str = VARIABLE) -> bool:
    """Whether `presented` is one of the two values that the environment holds.

    `<variable>_NEXT` counts beside `<variable>` while a rotation is under way, never alone.
    """
    given = _bytes(presented)
    current = _bytes(os.environ.get(variable, ""))
    upcoming = _bytes(os.environ.get(f"{variable}_NEXT", ""))
    # Both are always compared, so that the time taken does not tell which one came close.
    matches = hmac.compare_digest(current, given) | hmac.compare_digest(upcoming, given)
    return bool(current) and bool(given) and matches


def _bytes(text: str) -> bytes:
    # JSON and environments may hold lone surrogates, which strict UTF-8 would refuse.
    return text.encode("utf-8", "surrogatepass")
