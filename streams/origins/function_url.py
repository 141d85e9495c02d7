"""A Lambda function URL: HTTP, with refusals and failures of AWS's own."""

import re
from dataclasses import dataclass
from posixpath import normpath
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from streams.net import errors
from streams.origins.base import Credential, Target, Wanted
from streams.origins.http import Answer, HttpOrigin, refused
from streams.origins.s3 import is_amazon

_HOST = re.compile(r"[a-z0-9]+\.lambda-url\.[a-z0-9-]+\.on\.(aws|amazonwebservices\.com\.cn)")
# Each path of Lambda's own API begins with the date of its version.
_API = re.compile(r"/+\d{4}-\d\d-\d\d(/|$)")


def may_be_signed(url: str) -> bool:
    """Whether this is a function URL, or one of a stand-in for AWS.

    A signature for it is as good for Lambda's own API, which tells the environments of functions:
    whoever chooses where a signed request goes could read secrets there.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if _HOST.fullmatch(host):
        return True
    # However it is written: what is signed is the path without its dots.
    return not is_amazon(host) and not _API.match(normpath(unquote(parts.path or "/")))


@dataclass(frozen=True)
class FunctionUrlOrigin(HttpOrigin):
    """A function behind its URL, protected by a secret header, by a signature or by nothing."""

    service: ClassVar[str] = "lambda"

    def _url(self, wanted: Wanted, credential: Credential | None) -> str:
        return self._own(super()._url(wanted, credential))

    def redirected(self, url: str, answer: Answer) -> str:
        return self._own(super().redirected(url, answer))

    def _own(self, url: str) -> str:
        if self.target.auth == "sigv4" and not may_be_signed(url):
            raise errors.UrlUnknownError("This is no function URL, and nothing else is signed for.")
        return url

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
