"""Function URLs: who may call, and how a response becomes HTTP."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import web
from multidict import CIMultiDict

from sandbox import signatures
from sandbox.bandwidth import Bucket
from sandbox.emulator import Emulator, Scope
from sandbox.functions import THROTTLED, Functions, NoSuchFunctionError, Target
from sandbox.invocation import FunctionFailedError, Head, Invocation
from sandbox.relay import HOP_BY_HOP, Relay
from sandbox.settings import ACCOUNT, KIB, Settings
from sandbox.signatures import Credentials, SignatureRefusedError

PREFIX = "/_lambda-url/"
_AWS_URL = re.compile(rb"https://([a-z0-9]+)\.lambda-url\.[a-z0-9-]+\.on\.aws")
INTEGRATION = "application/vnd.awslambda.http-integration-response"
SEPARATOR = b"\0" * 8
PRELUDE_LIMIT = 64 * KIB

FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


class BadResponseError(Exception):
    """The function answered, but not in a form that a function URL understands."""


@dataclass(frozen=True)
class Access:
    """What decides about a request: the URL's configuration and the function's policy."""

    config: dict[str, Any]
    statements: list[dict[str, Any]]
    arn: str


@dataclass(frozen=True)
class Metadata:
    """Status and headers, as the function sent them before the body."""

    status: int
    headers: CIMultiDict[str]


class UrlBook:
    """Which function each URL id belongs to. Learned from the answers that pass, and kept."""

    def __init__(self, path: Path, endpoint: str) -> None:
        self._path = path
        self._endpoint = endpoint
        self._known: dict[str, Target] = {}
        if path.exists():
            for identity, entry in json.loads(path.read_text()).items():
                scope = Scope(**entry.pop("scope"))
                self._known[identity] = Target(scope, **entry)

    def target(self, identity: str) -> Target | None:
        return self._known.get(identity)

    def learn(self, target: Target, config: dict[str, Any]) -> None:
        """Note the URL, and make the configuration show where it is really served."""
        url = config.get("FunctionUrl", "")
        identity = url.split("://", 1)[-1].split(".", 1)[0]
        if not identity:
            return
        # A list names no qualifier, and all that it shows has passed before.
        known = target if target.qualifier else self._known.get(identity, target)
        if self._known.get(identity) != known:
            self._known[identity] = known
            entries = {key: asdict(value) for key, value in self._known.items()}
            self._path.write_text(json.dumps(entries))
        config["FunctionUrl"] = f"{self._endpoint}{PREFIX}{identity}/"
        config["FunctionArn"] = arn_of(known, config)

    def shown(self, text: bytes) -> bytes:
        """The text with the URLs that we know as they are served: a stack maps AWS's own."""
        return _AWS_URL.sub(
            lambda match: (
                f"{self._endpoint}{PREFIX}{match[1].decode()}".encode()
                if match[1].decode() in self._known
                else match[0]
            ),
            text,
        )


class FunctionUrls:
    """Serves `/_lambda-url/<id>/…`."""

    def __init__(
        self,
        settings: Settings,
        emulator: Emulator,
        functions: Functions,
        book: UrlBook,
        credentials: Credentials,
    ) -> None:
        self._settings = settings
        self._emulator = emulator
        self._functions = functions
        self._book = book
        self._credentials = credentials
        self._access: dict[str, tuple[float, Access]] = {}

    def changed(self) -> None:
        """A call of the control plane passed: believe nothing that was read before."""
        self._access.clear()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.removeprefix(PREFIX)
        identity = path.partition("?")[0].partition("/")[0]
        target = self._book.target(identity)
        access = await self._read_access(identity, target) if target else None
        if target is None or access is None:
            return _json(HTTPStatus.FORBIDDEN, {"Message": None})
        body = await request.read()
        if len(body) > self._settings.buffered_limit:
            return _json(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"Message": "Request too long"})
        if refusal := self._refusal(request, body, access):
            return refusal
        event = event_of(identity, target, request, body, path[len(identity) :])
        return await self._answer(request, target, access, event)

    async def _answer(
        self, request: web.Request, target: Target, access: Access, event: bytes
    ) -> web.StreamResponse:
        streams = access.config.get("InvokeMode") == "RESPONSE_STREAM"
        limit = self._settings.streamed_limit if streams else self._settings.buffered_limit
        try:
            invocation = (await self._functions.start(target, event, limit=limit)).invocation
        except NoSuchFunctionError:
            return _json(HTTPStatus.FORBIDDEN, {"Message": None})
        try:
            head = await invocation.head()
            if streams and head.streaming:
                return await self._stream(request, head, invocation)
            return _buffered(head, b"".join([part async for part in invocation.body()]), invocation)
        except FunctionFailedError as error:
            return _failure(error, invocation)
        except BadResponseError:
            return _failure(FunctionFailedError("Runtime.InvalidResponse"), invocation)
        finally:
            invocation.leave()

    async def _stream(
        self, request: web.Request, head: Head, invocation: Invocation
    ) -> web.StreamResponse:
        body = invocation.body()
        first = b""
        metadata = Metadata(HTTPStatus.OK, CIMultiDict({"Content-Type": head.content_type}))
        if head.content_type == INTEGRATION:
            metadata, first = await read_prelude(body)
        if not self._settings.pass_content_length:
            metadata.headers.popall("Content-Length", None)
        response = web.StreamResponse(status=metadata.status, headers=metadata.headers)
        response.headers["x-amzn-RequestId"] = invocation.id
        bucket = Bucket(rate=self._settings.bandwidth, burst=self._settings.burst)
        relay = Relay(request, response, bucket)
        try:
            await relay.send(first, body)
        except FunctionFailedError as error:
            if self._settings.midway_error == "trailers" and error.code != "Sandbox.Timeout":
                relay.end_with_trailers(_trailers(error))
            relay.cut()
        return response

    async def _read_access(self, identity: str, target: Target) -> Access | None:
        """The URL's configuration and policy; None where the URL is no more."""
        read_at, access = self._access.get(identity, (0.0, None))
        if access is not None and time.monotonic() - read_at <= self._settings.cache_seconds:
            return access
        url_path = target.path("/url").replace("/2015-03-31/", "/2021-10-31/", 1)
        config = await self._emulator.call("GET", url_path, scope=target.scope, service="lambda")
        if not config.ok:
            return None
        policy = await self._emulator.call(
            "GET", target.path("/policy"), scope=target.scope, service="lambda"
        )
        statements = json.loads(policy.json()["Policy"])["Statement"] if policy.ok else []
        found = config.json()
        access = Access(found, statements, arn_of(target, found))
        self._access[identity] = (time.monotonic(), access)
        return access

    def _refusal(self, request: web.Request, body: bytes, access: Access) -> web.Response | None:
        if access.config.get("AuthType") == "NONE":
            return None if admits_everyone(access) else _forbidden(FORBIDDEN)
        try:
            signatures.verify(
                self._credentials,
                service="lambda",
                method=request.method,
                target=request.raw_path,
                headers=request.headers,
                body=body,
            )
        except SignatureRefusedError as refused:
            told = FORBIDDEN if "Authorization" not in request.headers else str(refused)
            return _forbidden(told)
        return None


def arn_of(target: Target, config: dict[str, Any]) -> str:
    """The ARN of what the URL belongs to: the emulator leaves the alias out."""
    base = config["FunctionArn"].split(":function:")[0] + f":function:{target.name}"
    return f"{base}:{target.qualifier}" if target.qualifier else base


def admits_everyone(access: Access) -> bool:
    """True where both statements that a public URL needs are there."""
    via_url = [s for s in access.statements if _allows_all(s, "lambda:InvokeFunctionUrl", access)]
    invoke = [s for s in access.statements if _allows_all(s, "lambda:InvokeFunction", access)]
    return bool(via_url) and bool(invoke)


def _allows_all(statement: dict[str, Any], action: str, access: Access) -> bool:
    actions = statement.get("Action")
    actions = [actions] if isinstance(actions, str) else actions or []
    given = {
        "lambda:FunctionUrlAuthType": access.config.get("AuthType"),
        "lambda:InvokedViaFunctionUrl": "true",
    }
    wanted = {
        key: value
        for conditions in (statement.get("Condition") or {}).values()
        for key, value in conditions.items()
    }
    return (
        statement.get("Effect") == "Allow"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Resource") == access.arn
        and bool({action, "lambda:*", "*"} & set(actions))
        # A condition on anything else is never met by an anonymous request.
        and all(given.get(key) == value for key, value in wanted.items())
    )


def event_of(identity: str, target: Target, request: web.Request, body: bytes, rest: str) -> bytes:
    """The event in payload format 2.0. `rest` is the path and query behind the URL's id."""
    path, _, query = rest.partition("?")
    now = datetime.datetime.now(datetime.UTC)
    domain = f"{identity}.lambda-url.{target.scope.region}.on.aws"
    headers = {name.lower(): ",".join(request.headers.getall(name)) for name in request.headers}
    source = request.remote or "127.0.0.1"
    headers |= {
        "host": domain,
        "x-forwarded-for": source,
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    http = {
        "method": request.method,
        "path": path or "/",
        "protocol": "HTTP/1.1",
        "sourceIp": source,
        "userAgent": headers.get("user-agent", ""),
    }
    context = {
        "accountId": "anonymous" if "authorization" not in headers else ACCOUNT,
        "apiId": identity,
        "domainName": domain,
        "domainPrefix": identity,
        "http": http,
        "requestId": secrets.token_hex(16),
        "routeKey": "$default",
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path or "/",
        "rawQueryString": query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if query:
        pairs: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            pairs.setdefault(name, []).append(value)
        event["queryStringParameters"] = {name: ",".join(v) for name, v in pairs.items()}
    if cookies := headers.pop("cookie", ""):
        event["cookies"] = [unquote(cookie.strip()) for cookie in cookies.split(";")]
    if body:
        event["body"] = base64.b64encode(body).decode()
        event["isBase64Encoded"] = True
    return json.dumps(event).encode()


async def read_prelude(body: AsyncIterator[bytes]) -> tuple[Metadata, bytes]:
    """The metadata before the body, and the body's first bytes that came with it.

    Prelude and NULs may be cut anywhere. Raises BadResponseError.
    """
    got = b""
    async for part in body:
        got += part
        prelude, found, rest = got.partition(SEPARATOR)
        if found:
            return _metadata(prelude), rest
        if len(got) > PRELUDE_LIMIT:
            break
    raise BadResponseError("no metadata before the body")


def _metadata(prelude: bytes) -> Metadata:
    try:
        told = json.loads(prelude)
        status = int(told.get("statusCode", HTTPStatus.OK))
        headers = CIMultiDict({str(k): str(v) for k, v in (told.get("headers") or {}).items()})
        cookies = [str(cookie) for cookie in told.get("cookies") or []]
    except (ValueError, AttributeError, TypeError) as exc:
        raise BadResponseError("the metadata is not what it must be") from exc
    if not HTTPStatus.OK <= status <= 599 or _breaks_lines(headers, cookies):
        raise BadResponseError("a status or a header that HTTP does not know")
    for name in HOP_BY_HOP & {name.lower() for name in headers}:
        headers.popall(name)
    for cookie in cookies:
        headers.add("Set-Cookie", cookie)
    headers.setdefault("Content-Type", "application/octet-stream")
    return Metadata(status, headers)


def _breaks_lines(headers: CIMultiDict[str], cookies: list[str]) -> bool:
    texts = [*headers.keys(), *headers.values(), *cookies]
    return any(char in text for text in texts for char in "\r\n\0")


def _buffered(head: Head, body: bytes, invocation: Invocation) -> web.Response:
    """A whole response: a streaming one goes out undecoded, which is what AWS does too."""
    if head.streaming:
        metadata = Metadata(HTTPStatus.OK, CIMultiDict({"Content-Type": head.content_type}))
    else:
        metadata, body = _proxy_response(body)
    metadata.headers.popall("Content-Length", None)
    metadata.headers["x-amzn-RequestId"] = invocation.id
    return web.Response(status=metadata.status, headers=metadata.headers, body=body)


def _proxy_response(body: bytes) -> tuple[Metadata, bytes]:
    """Status, headers and body of what a function returned at once."""
    try:
        told = json.loads(body)
    except ValueError as exc:
        raise BadResponseError("the response is not JSON") from exc
    if not isinstance(told, dict) or "statusCode" not in told:
        plain = CIMultiDict({"Content-Type": "application/json"})
        return Metadata(HTTPStatus.OK, plain), body
    text = told.get("body") or ""
    raw = text if isinstance(text, str) else json.dumps(text)
    try:
        content = base64.b64decode(raw) if told.get("isBase64Encoded") else raw.encode()
    except binascii.Error as exc:
        raise BadResponseError("the body is not base64") from exc
    headers = {"Content-Type": "application/json"} | (told.get("headers") or {})
    return _metadata(json.dumps(told | {"headers": headers, "body": None}).encode()), content


def _failure(error: FunctionFailedError, invocation: Invocation) -> web.Response:
    if error.code == THROTTLED:
        told = {
            "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
            "Type": "User",
            "message": "Rate Exceeded.",
        }
        answer = _json(HTTPStatus.TOO_MANY_REQUESTS, told)
        answer.headers["Retry-After"] = "1"
        answer.headers["x-amzn-ErrorType"] = error.code
        return answer
    headers = {"x-amzn-RequestId": invocation.id, "Content-Type": "application/json"}
    return web.Response(
        status=HTTPStatus.BAD_GATEWAY, headers=headers, body=b"Internal Server Error"
    )


def _trailers(error: FunctionFailedError) -> dict[str, str]:
    details = base64.b64encode(json.dumps(error.details).encode()).decode()
    return {
        "Lambda-Runtime-Function-Error-Type": error.code,
        "Lambda-Runtime-Function-Error-Body": details,
    }


def _forbidden(message: str) -> web.Response:
    key = "Message" if message == FORBIDDEN else "message"
    answer = _json(HTTPStatus.FORBIDDEN, {key: message})
    kind = "AccessDeniedException" if message == FORBIDDEN else "InvalidSignatureException"
    answer.headers["x-amzn-ErrorType"] = kind
    return answer


def _json(status: HTTPStatus, told: dict[str, Any]) -> web.Response:
    return web.json_response(told, status=status)
