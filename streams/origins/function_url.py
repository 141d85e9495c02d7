"""A Lambda function URL: HTTP, with refusals and failures of AWS's own."""

from dataclasses import dataclass
from typing import Any, ClassVar

from streams.net import errors
from streams.net.client import Incoming
from streams.origins.http import HttpOrigin

# What a streaming function's answer becomes when its URL is not in RESPONSE_STREAM mode: the
# prelude, eight NULs and the payload, undecoded.
PRELUDE_TYPE = "application/vnd.awslambda.http-integration-response"


@dataclass(frozen=True)
class FunctionUrlOrigin(HttpOrigin):
    """A function behind its URL, protected by a secret header or by nothing."""

    may_report_failure: ClassVar[bool] = True

    def _check_whole(self, answer: Incoming) -> None:
        if answer.headers.get("content-type", "").lower().startswith(PRELUDE_TYPE):
            raise errors.BufferedError

    def forbidden(self, answer: Incoming, body: Any) -> errors.OriginError:
        """AWS's own refusals differ in form from those of the function behind it."""
        if answer.headers.get("x-amzn-errortype", "").startswith("AccessDeniedException"):
            return errors.UrlPermissionError()
        if body == {"Message": None}:
            return errors.UrlUnknownError()
        if _own_code(body) not in {None, "forbidden"}:
            # Our handler passes on what S3 refused to it: another secret would change nothing.
            return errors.StatusError(answer.status)
        return errors.ForbiddenError()


def _own_code(body: Any) -> Any:
    """The code of an error as our own handlers write it."""
    error = body.get("error") if isinstance(body, dict) else None
    return error.get("code") if isinstance(error, dict) else None
