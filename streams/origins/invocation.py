"""A Lambda function, invoked directly: `InvokeWithResponseStream` (service `lambda`).

The function gets the event that its URL would send (payload format 2.0), so that one handler serves
both, and it streams inside a VPC, where a URL does not.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from streams.aws.eventstream import COMPLETE, PAYLOAD, Events, EventStreamError, error_code
from streams.net import errors
from streams.net.client import Incoming
from streams.net.errors import BodyError, ReportedError, TruncatedError
from streams.net.pace import Pace
from streams.origins.base import Body, Credential, Opened, Wanted
from streams.origins.function_url import FunctionUrlOrigin, own_forbidden
from streams.origins.http import Answer, error_json, retry_after
from streams.wire.prelude import MEDIA_TYPE, Prelude, PreludeError, PreludeReader

EVENT_STREAM = "application/vnd.amazon.eventstream"
_BUSY = frozenset({"TooManyRequestsException", "EC2ThrottledException"})


class InvocationBody:
    """The payload of an invocation, complete only where AWS says so: an `origins.Body`."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._events = Events()
        self._ready: list[bytes] = []
        self._complete = False

    async def read(self) -> bytes:
        while not self._ready:
            data = await self._body.read()
            if not data:
                if self._complete:
                    return b""
                raise TruncatedError("the stream ended without InvokeComplete")
            self._take(data)
        return self._ready.pop(0)

    def _take(self, data: bytes) -> None:
        try:
            for kind, payload in self._events.feed(data):
                if kind == PAYLOAD and payload:
                    self._ready.append(payload)
                elif kind == COMPLETE:
                    self._complete = True
                    if code := error_code(payload):
                        raise ReportedError(code)
        except EventStreamError as exc:
            raise TruncatedError(exc.aws_code or "not an event stream") from exc

    def put_back(self, data: bytes) -> None:
        """What was read with the head, and belongs to the body."""
        if data:
            self._ready.insert(0, data)

    def fail(self, exc: BodyError) -> None:
        self._body.fail(exc)

    def set_pace(self, pace: Pace) -> None:
        self._body.set_pace(pace)

    def abort(self) -> None:
        self._body.abort()


@dataclass(frozen=True)
class Invoked:
    """A function's answer: an `http.Answer`."""

    status: int
    headers: Mapping[str, str]
    length: int | None
    body: InvocationBody


@dataclass(frozen=True)
class InvocationOrigin(FunctionUrlOrigin):
    """A function by its name or ARN, invoked with the portal's signature."""

    async def open(self, wanted: Wanted, credential: Credential | None) -> Opened:
        method = "HEAD" if wanted.head_only else "GET"
        answer = await self._invoke(method, wanted, credential)
        try:
            return replace(await self.opened(answer, wanted), says_when_complete=True)
        except BaseException:
            answer.body.abort()
            raise

    async def _invoke(self, method: str, wanted: Wanted, credential: Credential | None) -> Invoked:
        place = credential.place if credential else ""
        url = await self._address(place or self.target.function)
        fields = self.request_fields(wanted, credential)
        event = _event(method, wanted.query, fields)
        own = {"Accept": "*/*", "User-Agent": fields["User-Agent"]}
        answer = await self.client.request(
            "POST", url, await self.signed("POST", url, own, event), event
        )
        try:
            await _check_invoked(answer)
            async with asyncio.timeout(self.client.head_timeout):
                return await _head(InvocationBody(answer.body), answer)
        except TimeoutError as exc:
            answer.body.abort()
            raise errors.OriginTimeoutError from exc
        except BaseException:
            answer.body.abort()
            raise

    async def _address(self, function: str) -> str:
        target = self.target
        endpoint = await self.account.endpoint(
            "lambda", region=target.region, role_arn=target.role_arn
        )
        parts = urlsplit(endpoint)
        # An ARN has colons, and may end in an alias.
        name, qualifier = _name_and_qualifier(function)
        path = f"/2021-11-15/functions/{quote(name, safe='-_.~')}/response-streaming-invocations"
        query = f"?Qualifier={quote(qualifier, safe='-_.~')}" if qualifier else ""
        return f"{parts.scheme}://{parts.netloc}{path}{query}"

    def request_fields(self, wanted: Wanted, credential: Credential | None) -> dict[str, str]:
        return super().request_fields(wanted, credential) | {"Accept": "*/*"}

    def forbidden(self, answer: Answer, body: Any) -> errors.OriginError:
        """The function's own refusal: AWS's comes before its head."""
        return own_forbidden(self.target, answer, body)


def _name_and_qualifier(function: str) -> tuple[str, str]:
    """`name`, `name:alias`, an ARN, or an ARN with an alias."""
    arn = re.fullmatch(r"(arn:aws[a-z-]*:lambda:[^:]+:\d{12}:function:[^:]+)(?::(.+))?", function)
    if arn:
        return arn[1], arn[2] or ""
    name, _, qualifier = function.partition(":")
    return name, qualifier


def _event(method: str, query: str, fields: Mapping[str, str]) -> bytes:
    """The event of a function URL: payload format 2.0, names of headers in lower case."""
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/",
        "rawQueryString": query,
        "queryStringParameters": _parameters(query),
        "headers": {name.lower(): value for name, value in fields.items()},
        "requestContext": {
            "http": {
                "method": method,
                "path": "/",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": fields["User-Agent"],
            },
            "routeKey": "$default",
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }
    return json.dumps(event, separators=(",", ":")).encode()


def _parameters(query: str) -> dict[str, str]:
    """As API Gateway and function URLs have them: values of one name are joined by commas."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in found.items()}


def _is_event_stream(answer: Incoming) -> bool:
    return answer.headers.get("content-type", "").partition(";")[0].strip() == EVENT_STREAM


async def _head(body: InvocationBody, answer: Incoming) -> Invoked:
    """Reads the payload as far as the function's own head. Raises an `OriginError`."""
    content_type = answer.headers.get("x-amzn-remapped-content-type", "")
    if content_type != MEDIA_TYPE:
        # A function that streams bytes alone.
        first = await _first(body)
        body.put_back(first)
        prelude = Prelude(200, {"content-type": content_type})
        return Invoked(prelude.status, prelude.headers, None, body)
    reader = PreludeReader()
    try:
        while (found := reader.feed(data := await _first(body))) is None:
            if not data:
                raise errors.BrokenError
    except PreludeError as exc:
        raise errors.ProtocolError("The function's answer begins with no valid head.") from exc
    prelude, rest = found
    body.put_back(rest)
    length = prelude.headers.get("content-length", "")
    return Invoked(
        prelude.status,
        prelude.headers,
        int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None,
        body,
    )


async def _first(body: InvocationBody) -> bytes:
    try:
        return await body.read()
    except ReportedError as exc:
        raise errors.FunctionError(str(exc)) from exc
    except BodyError as exc:
        raise errors.BrokenError from exc


async def _check_invoked(answer: Incoming) -> None:
    """Raises why Lambda's API did not invoke the function, if it did not."""
    if answer.status != 200 or not _is_event_stream(answer):
        raise await _refusal(answer)


async def _refusal(answer: Incoming) -> errors.OriginError:
    aws_code = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
    if answer.status == 429 or aws_code in _BUSY:
        return errors.BusyError(retry_after(answer.headers.get("retry-after")))
    if aws_code == "ResourceNotFoundException":
        return errors.NotFoundError("There is no such function, or no such alias of it.")
    if answer.status in {401, 403}:
        body = await error_json(answer)
        if not aws_code and isinstance(body, dict):
            aws_code = str(body.get("__type", ""))
        return errors.AwsDeniedError(aws_code)
    if answer.status in {500, 502, 503}:
        return errors.BusyServerError(answer.status)
    return errors.StatusError(answer.status)
