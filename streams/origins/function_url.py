"""A Lambda function URL: HTTP, with refusals and failures of AWS's own."""

from dataclasses import dataclass
from typing import Any, ClassVar

from streams.net import errors
from streams.origins.base import Target
from streams.origins.http import Answer, HttpOrigin, refused


@dataclass(frozen=True)
class FunctionUrlOrigin(HttpOrigin):
    """A function behind its URL, protected by a secret header, by a signature or by nothing."""

    service: ClassVar[str] = "lambda"

    def forbidden(self, answer: Answer, body: Any) -> errors.OriginError:
        """AWS's own refusals differ in form from those of the function behind it."""
        aws_code = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
        if aws_code == "AccessDeniedException":
            return errors.UrlPermissionError()
        if body == {"Message": None}:
            return errors.UrlUnknownError()
        if self.target.auth == "sigv4" and (aws_code or "message" in (body or {})):
            return errors.AwsDeniedError(aws_code)
        return own_forbidden(self.target, answer, body)


def own_forbidden(target: Target, answer: Answer, body: Any) -> errors.OriginError:
    """A refusal of the function itself, as our own handlers write it."""
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    if code not in {None, "forbidden"}:
        # Our handler passes on what S3 refused to it: another secret would change nothing.
        return errors.StatusError(answer.status)
    return refused(target)
