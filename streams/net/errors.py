"""Everything that can go wrong between the portal and an origin.

OriginError                   before the first byte of the body: an answer of our own is possible
├── AddressForbiddenError     the address policy forbids it
├── UnreachableError          no connection, or it was lost before the head
├── OriginTimeoutError        no head, or no first byte, in time
├── ProtocolError             not HTTP, or HTTP that two readers could read differently
├── RedirectError             it leads elsewhere
├── CodedError                its content coding is one that the client does not take
├── BrokenError               the body ended before its first byte
├── ForbiddenError            401 or 403
│   ├── BareError                 to a request that bears nothing that could be wrong
│   ├── UrlUnknownError           no such function URL
│   ├── UrlPermissionError        a policy statement is missing
│   ├── AwsDeniedError            AWS takes the portal's signature, and refuses; or does not take it
│   └── GatewayRefusedError       a gateway refused it itself
├── AwsCredentialsError       there are none, or the role cannot be assumed
├── GatewayLimitError         larger or slower than a gateway lets through
├── FunctionError             an invoked function failed before its first byte
├── FollowError               the function's answer names no object
├── PageError                 a page of a paginated API is not what was declared
├── NotFoundError             404 or 410
├── BusyError                 429
├── RangeError                416
├── PreconditionError         what the client's If-Match or If-Unmodified-Since says does not hold
├── ReplacedError             412: it is no longer the version that was asked for
├── BufferedError             the function streams, its URL does not
└── StatusError               every other status
BodyError                     within the body: all that is left is to cut
├── TruncatedError            it ended too early
├── StalledError              it fell silent
├── ChangedError              the rest is of another version
├── CorruptError              its bytes are not those of the checksum that the origin announced
├── PageFailedError           a later page of a paginated API could not be had
└── ReportedError             the function itself reported that it failed midway
"""

import re
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


def _with_code(message: str, aws_code: str) -> str:
    """`message` with a code of AWS's, if it is one: never a text that may repeat a value."""
    known = re.fullmatch(r"[A-Za-z][A-Za-z0-9.]{0,79}", aws_code)
    return f"{message[:-1]} ({aws_code})." if known else message


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

    def __init__(self, detail: str = "", *, place: str = "") -> None:
        """`place` is scheme and host of where it leads: what else an address has may be secret."""
        super().__init__(detail)
        self.place = place


class CodedError(OriginError):
    code = "origin_coded"
    hint = (
        "Ask with an Accept-Encoding that takes it, and decode it. "
        "Operators: have the source heed Accept-Encoding: identity, or register keep_gzip."
    )

    def __init__(self, coding: str) -> None:
        super().__init__(f"The source sends it coded ({coding}), which this request does not take.")


class BrokenError(OriginError):
    code = "origin_broken"
    message = "The source began to answer and broke off before the first byte."
    passing = True


class ForbiddenError(OriginError):
    code = "origin_forbidden"
    message = "The source refused the portal's credentials."
    hint = "Operators: compare the secret in the function's environment with this portal's."


class BareError(ForbiddenError):
    message = "The source wants credentials, and this export sends none."
    hint = "Operators: register the secret or the signature that the source wants."


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


class AwsDeniedError(ForbiddenError):
    code = "aws_denied"
    message = "AWS refused the portal's signed request."
    hint = "Operators: look at the policies of the identity that this portal runs under."

    def __init__(self, aws_code: str = "") -> None:
        """`aws_code` is AWS's own, such as `AccessDenied`."""
        super().__init__(_with_code(self.message, aws_code))
        self.aws_code = aws_code


class GatewayRefusedError(ForbiddenError):
    code = "gateway_refused"
    message = "API Gateway refused the call before it reached the function."
    hint = (
        "Operators: the path, method or stage is not deployed, or the API wants a key, a signature "
        "or another network. Compare the URL with the deployed stage."
    )


class AwsCredentialsError(OriginError):
    code = "aws_credentials"
    message = "This portal's AWS credentials cannot be used."
    hint = "Operators: give the portal's process a role or keys, as boto3 reads them."


class GatewayLimitError(OriginError):
    code = "gateway_limit"
    message = "API Gateway gave up: the file takes longer, or is larger, than it lets through."
    hint = (
        "Operators: a buffered integration ends after 29 s and at 10 MB. Set its response transfer "
        "mode to STREAM (REST), register the function's own URL, or use segments."
    )


class FunctionError(OriginError):
    code = "function_failed"
    message = "The function failed before it sent a byte."
    hint = "Operators: the function's log has the reason."

    def __init__(self, aws_code: str = "") -> None:
        """`aws_code` is Lambda's, such as `Runtime.ExitError`."""
        super().__init__(_with_code(self.message, aws_code))


class FollowError(OriginError):
    code = "follow_failed"
    message = "The function's answer does not name an object in S3."
    hint = 'Operators: answer with {"url": …} or {"bucket": …, "key": …} as JSON.'


class PageError(OriginError):
    code = "page_invalid"
    message = "A page of the source is not what this export declares."
    hint = "Operators: compare `pages` in the registry with what the API answers."


class NotFoundError(OriginError):
    code = "origin_not_found"
    message = "The source does not have this file."
    hint = "Operators: the object or path may have moved."


class BusyError(OriginError):
    code = "origin_busy"
    status = 429
    message = "The source is too busy at the moment."
    hint = "Try again later."

    def __init__(self, retry_after: int | None = None) -> None:
        """`retry_after` is in seconds; None where the source does not say."""
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


class PreconditionError(OriginError):
    code = "precondition_failed"
    status = 412
    message = "The file is not the version that was asked for."
    hint = "Start again, from the first byte, without If-Match and If-Unmodified-Since."


class ReplacedError(OriginError):
    code = "origin_replaced"
    message = "The file was replaced at the source."
    hint = "Start again, from the first byte."


class BufferedError(OriginError):
    code = "function_url_buffered"
    message = "The function streams, but its URL or gateway does not."
    hint = (
        "Operators: set the function URL's invoke mode to RESPONSE_STREAM, or the transfer mode of "
        "the gateway's integration to STREAM."
    )


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

    code: str = "truncated"


class TruncatedError(BodyError):
    code = "truncated"


class StalledError(BodyError):
    code = "stalled"


class ChangedError(BodyError):
    code = "changed"


class CorruptError(BodyError):
    code = "corrupt"


class PageFailedError(BodyError):
    code = "page_failed"


class ReportedError(BodyError):
    code = "origin_error"
