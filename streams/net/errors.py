"""Everything that can go wrong between the portal and an origin.

OriginError                   before the first byte of the body: an answer of our own is possible
├── AddressForbiddenError     the address policy forbids it
├── UnreachableError          no connection, or it was lost before the head
├── OriginTimeoutError        no head, or no first byte, in time
├── ProtocolError             not HTTP, or HTTP that two readers could read differently
├── RedirectError             it leads elsewhere
├── BrokenError               the body ended before its first byte
├── ForbiddenError            401 or 403
│   ├── UrlUnknownError           no such function URL
│   └── UrlPermissionError        a policy statement is missing
├── NotFoundError             404 or 410
├── BusyError                 429
├── RangeError                416
├── BufferedError             the function streams, its URL does not
└── StatusError               every other status
BodyError                     within the body: all that is left is to cut
├── TruncatedError            it ended too early
├── StalledError              it fell silent
└── ReportedError             the function itself reported that it failed midway
"""

from typing import ClassVar


class OriginError(Exception):
    """Bears what a client is told: a stable code, a sentence, and what to do."""

    code: ClassVar[str] = "origin_error"
    status: ClassVar[int] = 502
    message: ClassVar[str] = "The source did not answer as it should."
    hint: ClassVar[str] = "Try again in a minute. If it stays, tell the operator the download id."
    # A second attempt is worth it: nothing was asked that could not be asked twice.
    passing: ClassVar[bool] = False

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.message)
        self.detail = detail


class AddressForbiddenError(OriginError):
    code = "address_forbidden"
    message = "The source's address is not one that this portal may connect to."
    hint = "Operators: allow it with SPILLWAY_PRIVATE_ORIGINS if it is yours."


class UnreachableError(OriginError):
    code = "origin_unreachable"
    message = "The source could not be reached."
    passing = True


class OriginTimeoutError(OriginError):
    code = "origin_timeout"
    status = 504
    message = "The source did not answer in time."
    hint = "Try again. Operators: look at the function's duration and its cold start."


class ProtocolError(OriginError):
    code = "origin_protocol"
    message = "The source's answer is not valid HTTP."
    hint = "Operators: look at what stands between the portal and the source."


class RedirectError(OriginError):
    code = "origin_redirect"
    message = "The source redirects to another place, where this portal does not follow."
    hint = "Operators: register the address that it leads to."


class BrokenError(OriginError):
    code = "origin_broken"
    message = "The source began to answer and broke off before the first byte."
    passing = True


class ForbiddenError(OriginError):
    code = "origin_forbidden"
    message = "The source refused the portal's credentials."
    hint = "Operators: compare the secret in the function's environment with this portal's."


class UrlUnknownError(ForbiddenError):
    code = "function_url_unknown"
    message = "There is no such function URL."
    hint = "Operators: the URL was deleted or mistyped; copy it again from the function."


class UrlPermissionError(ForbiddenError):
    code = "function_url_permission"
    message = "AWS refused the call before it reached the function."
    hint = (
        "Operators: the function needs both policy statements, lambda:InvokeFunctionUrl and "
        "lambda:InvokeFunction with the condition lambda:InvokedViaFunctionUrl."
    )


class NotFoundError(OriginError):
    code = "origin_not_found"
    message = "The source does not have this file."
    hint = "Operators: the object or path may have moved."


class BusyError(OriginError):
    code = "origin_busy"
    status = 429
    message = "The source is too busy at the moment."
    hint = "Try again later."

    def __init__(self, retry_after: int) -> None:
        """`retry_after` is in seconds."""
        super().__init__()
        self.retry_after = retry_after


class RangeError(OriginError):
    code = "range_not_satisfiable"
    status = 416
    message = "The file has no such bytes."
    hint = "Ask for a range within the file, or for all of it."

    def __init__(self, size: int | None) -> None:
        super().__init__()
        self.size = size


class BufferedError(OriginError):
    code = "function_url_buffered"
    message = "The function streams, but its URL is not in RESPONSE_STREAM mode."
    hint = "Operators: set the function URL's invoke mode to RESPONSE_STREAM."


class StatusError(OriginError):
    code = "origin_status"
    message = "The source answered with an error."

    def __init__(self, status: int) -> None:
        super().__init__(f"The source answered with status {status}.")
        self.origin_status = status


class BusyServerError(StatusError):
    """500, 502 or 503: often gone a moment later."""

    passing = True


class BodyError(Exception):
    """The body cannot be completed."""

    code: ClassVar[str] = "truncated"


class TruncatedError(BodyError):
    code = "truncated"


class StalledError(BodyError):
    code = "stalled"


class ReportedError(BodyError):
    code = "origin_error"
