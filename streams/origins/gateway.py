"""A function or server behind API Gateway, buffered or streaming, REST or HTTP API."""

from dataclasses import dataclass
from typing import Any, ClassVar

from streams.net import errors
from streams.origins.base import Wanted
from streams.origins.function_url import own_forbidden
from streams.origins.http import Answer, HttpOrigin, error_json

# `{"message": …}` of the gateway's own refusals; whatever stands behind it words its own.
_REFUSALS = frozenset({"Forbidden", "Missing Authentication Token", "Unauthorized"})
# Of an HTTP API.
_NO_ROUTE = "Not Found"
_TIMEOUTS = frozenset({"Endpoint request timed out", "Service Unavailable", "Gateway Timeout"})


@dataclass(frozen=True)
class GatewayOrigin(HttpOrigin):
    """HTTP, within the limits of a gateway: 29 s and 10 MB, or 15 minutes as a stream."""

    service: ClassVar[str] = "execute-api"
    # An HTTP API answers 404 where it has a route for GET alone.
    head_unknown: ClassVar[frozenset[int]] = HttpOrigin.head_unknown | {404}

    async def refusal(self, answer: Answer, wanted: Wanted) -> errors.OriginError:
        """A gateway's own limits look like errors of the server behind it, but for the text."""
        if answer.status in {404, 413, 500, 503, 504}:
            message = _message(await error_json(answer))
            if answer.status == 404 and message == _NO_ROUTE:
                return errors.GatewayRefusedError()
            if answer.status in {413, 504} or message in _TIMEOUTS:
                return errors.GatewayLimitError()
            if message == "Internal server error" and wanted.range is None:
                # Also what becomes of a body of more than 10 MB.
                return errors.GatewayLimitError(
                    "API Gateway failed: what stands behind it did, or sent more than 10 MB."
                )
        return await super().refusal(answer, wanted)

    def forbidden(self, answer: Answer, body: Any) -> errors.OriginError:
        aws_code = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
        if self.target.auth == "sigv4" and aws_code:
            return errors.AwsDeniedError(aws_code)
        if _message(body) in _REFUSALS:
            return errors.GatewayRefusedError()
        return own_forbidden(self.target, answer, body)


def _message(body: Any) -> str:
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, str) else ""
