"""API Gateway: what is deployed, and requests through it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from sandbox.bandwidth import Bucket
from sandbox.emulator import Emulator, Scope
from sandbox.function_urls import PREFIX as URL_PREFIX
from sandbox.propagation import Propagating
from sandbox.relay import UNASKED, Relay, passed
from sandbox.settings import MIB, Settings

REST = "/_rest/"
HTTP = "/_http/"

_PLACEHOLDER = re.compile(r"\{([^}+]+)\+?\}")
_REAL_URL = re.compile(r"^https?://([a-z0-9]+)\.lambda-url\.[a-z0-9-]+\.on\.aws(/.*)?$")
_VARIABLE = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")
# Where a static mapping of a REST API names something else than a literal value.
_SOURCE = re.compile(r"^method\.request\.(header|querystring|path)\.(.+)$")


class GatewayError(Exception):
    """An answer of the gateway itself."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Stage:
    """What one stage serves: the JSON of a deployment's snapshot, and its variables."""

    snapshot: str
    variables: tuple[tuple[str, str], ...]


@dataclass
class Api:
    """One API: its deployments as they were taken, by their ids."""

    kind: str
    scope: Scope
    snapshots: dict[str, str] = field(default_factory=dict)
    exports: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outgoing:
    """The request to the backend. `seconds` is as long as the integration waits for all of it."""

    url: str
    headers: CIMultiDict[str]
    method: str
    seconds: float
    streams: bool = False


class Gateways:
    """Keeps what was deployed, and serves `/_rest/…` and `/_http/…` from it."""

    def __init__(self, settings: Settings, emulator: Emulator, path: Path, endpoint: str) -> None:
        self._settings = settings
        self._emulator = emulator
        self._path = path
        self._endpoint = endpoint
        self._apis: dict[str, Api] = {}
        self._stages: dict[tuple[str, str], Propagating[Stage]] = {}
        if path.exists():
            for identity, entry in json.loads(path.read_text()).items():
                self._apis[identity] = Api(**entry | {"scope": Scope(**entry["scope"])})
        self._http = aiohttp.ClientSession(
            auto_decompress=False,
            read_bufsize=MIB // 4,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        await self._http.close()

    # What the control plane tells.

    async def deployed(self, kind: str, scope: Scope, api: str, deployment: str) -> None:
        """Take the snapshot that the deployment stands for."""
        entry = self._apis.setdefault(api, Api(kind, scope))
        entry.snapshots[deployment] = await self._snapshot(entry, api)
        self._save()

    async def export(self, api: str, stage: str, deployment: str) -> None:
        """Keep the export as it is now, for the deployment that the stage has."""
        entry = self._apis[api]
        answer = await self._call(
            entry, f"/restapis/{api}/stages/{quote(stage)}/exports/oas30?extensions=integrations"
        )
        if answer is not None:
            entry.exports[deployment] = json.dumps(answer)
            self._save()

    async def staged(self, scope: Scope, api: str, stage: str, deployment: str) -> None:
        """The same of a deployment that was made without a stage, while the API is still as it was.

        Without one, the emulator exports nothing.
        """
        entry = self._apis.setdefault(api, Api("rest", scope))
        if entry.snapshots.get(deployment) == await self._snapshot(entry, api):
            await self.export(api, stage, deployment)

    async def exported(self, scope: Scope, api: str, stage: str) -> str | None:
        """The export of what the stage serves; None where no deployment was seen."""
        entry = self._apis.get(api)
        found = await self._call(Api("rest", scope), f"/restapis/{api}/stages/{quote(stage)}")
        return entry.exports.get((found or {}).get("deploymentId", "")) if entry else None

    async def changed(self, kind: str, scope: Scope, api: str) -> None:
        """A call of the control plane touched the API: stages change from this moment."""
        entry = self._apis.setdefault(api, Api(kind, scope))
        listing = await self._call(entry, f"{_root(entry.kind)}{api}/stages")
        stages = (listing or {}).get("item", []) + (listing or {}).get("items", [])
        for gone in {n for a, n in self._stages if a == api} - {s["stageName"] for s in stages}:
            del self._stages[api, gone]
        for found in stages:
            if found.get("autoDeploy"):
                name = f"auto:{found['stageName']}"
                entry.snapshots[name] = await self._snapshot(entry, api)
            self._observe(api, found["stageName"], _stage(entry, found))
        self._save()

    def _observe(self, api: str, name: str, stage: Stage | None) -> Propagating[Stage] | None:
        if stage is None:
            self._stages.pop((api, name), None)
            return None
        serving = self._stages.get((api, name))
        if serving is None:
            serving = Propagating(stage, seconds=self._settings.propagation_seconds)
            self._stages[api, name] = serving
        serving.change(stage)
        return serving

    async def _snapshot(self, entry: Api, api: str) -> str:
        if entry.kind == "rest":
            path = f"/restapis/{api}/resources?embed=methods&limit=500"
            return json.dumps((await self._call(entry, path) or {}).get("item", []))
        routes = await self._call(entry, f"/v2/apis/{api}/routes")
        integrations = await self._call(entry, f"/v2/apis/{api}/integrations")
        return json.dumps(
            {
                "routes": (routes or {}).get("items", []),
                "integrations": {
                    found["integrationId"]: found for found in (integrations or {}).get("items", [])
                },
            }
        )

    async def _call(self, entry: Api, path: str) -> Any:
        answer = await self._emulator.call("GET", path, scope=entry.scope, service="apigateway")
        return answer.json() if answer.ok else None

    def _save(self) -> None:
        entries = {
            identity: vars(entry) | {"scope": vars(entry.scope)}
            for identity, entry in self._apis.items()
        }
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(entries))
        beside.replace(self._path)

    # The data plane.

    async def serve(self, request: web.Request) -> web.StreamResponse:
        kind = "rest" if request.raw_path.startswith(REST) else "http"
        try:
            stage, path = await self._find(kind, request)
            prepare = rest_request if kind == "rest" else http_request
            outgoing = prepare(request, stage, path)
            return await self._forward(request, outgoing, kind)
        except GatewayError as error:
            return web.json_response({"message": error.message}, status=error.status)

    async def _find(self, kind: str, request: web.Request) -> tuple[Stage, str]:
        rest = request.raw_path.partition("?")[0].removeprefix(REST if kind == "rest" else HTTP)
        api, _, tail = rest.partition("/")
        name, _, path = tail.partition("/")
        entry = self._apis.get(api) or await self._adopted(kind, api)
        if entry is None or entry.kind != kind:
            raise GatewayError(*_unknown(kind))
        if serving := await self._serving(entry, api, unquote(name)):
            return serving.pick(), "/" + path
        # The default stage of an HTTP API needs no name in the path.
        if kind == "http" and (serving := await self._serving(entry, api, "$default")):
            return serving.pick(), "/" + tail
        raise GatewayError(*_unknown(kind))

    async def _adopted(self, kind: str, api: str) -> Api | None:
        """One that a stack has made, past us: its deployments are taken as it is now."""
        scope = Scope(self._settings.region)
        listing = await self._call(Api(kind, scope), f"{_root(kind)}{api}/stages")
        for stage in (listing or {}).get("item", []) + (listing or {}).get("items", []):
            if deployment := stage.get("deploymentId"):
                await self.deployed(kind, scope, api, deployment)
        if listing is not None:
            await self.changed(kind, scope, api)
        return self._apis.get(api)

    async def _serving(self, entry: Api, api: str, name: str) -> Propagating[Stage] | None:
        if known := self._stages.get((api, name)):
            return known
        path = f"{_root(entry.kind)}{api}/stages/{quote(name, safe='$')}"
        found = await self._call(entry, path) if name else None
        return self._observe(api, name, _stage(entry, found)) if found else None

    async def _forward(
        self, request: web.Request, outgoing: Outgoing, kind: str
    ) -> web.StreamResponse:
        longest = outgoing.seconds if outgoing.streams else self._settings.gateway_timeout
        until = asyncio.get_running_loop().time() + min(longest, outgoing.seconds)
        try:
            async with (
                asyncio.timeout_at(until) as patience,
                self._http.request(
                    outgoing.method,
                    URL(self._backend(outgoing.url), encoded=True),
                    headers=outgoing.headers,
                    data=await request.read() or None,
                    allow_redirects=False,
                    skip_auto_headers=UNASKED,
                ) as answer,
            ):
                if outgoing.streams:
                    patience.reschedule(None)
                    return await self._stream(request, answer, until)
                return await self._buffer(answer)
        except TimeoutError as exc:
            if kind == "rest":
                raise GatewayError(
                    HTTPStatus.GATEWAY_TIMEOUT, "Endpoint request timed out"
                ) from exc
            raise GatewayError(HTTPStatus.SERVICE_UNAVAILABLE, "Service Unavailable") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise GatewayError(HTTPStatus.BAD_GATEWAY, "Internal server error") from exc

    async def _buffer(self, answer: aiohttp.ClientResponse) -> web.Response:
        body = bytearray()
        async for part in answer.content.iter_any():
            body += part
            if len(body) > self._settings.gateway_limit:
                raise GatewayError(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error")
        headers = passed(answer.headers)
        headers.popall("Content-Length", None)
        return web.Response(status=answer.status, headers=headers, body=bytes(body))

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, until: float
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=passed(answer.headers))
        bucket = Bucket(rate=self._settings.bandwidth, burst=self._settings.gateway_burst)
        relay = Relay(request, response, bucket)
        try:
            async with asyncio.timeout_at(until):
                await relay.send(b"", _parts(answer))
        except (aiohttp.ClientError, OSError):
            relay.cut()
        return response

    def _backend(self, url: str) -> str:
        """The URL to call: function URLs are here, on whatever port they once were."""
        if real := _REAL_URL.match(url):
            return f"{self._endpoint}{URL_PREFIX}{real[1]}{real[2] or '/'}"
        parts = urlsplit(url)
        if parts.hostname == "127.0.0.1" and parts.path.startswith(URL_PREFIX):
            query = f"?{parts.query}" if parts.query else ""
            return f"{self._endpoint}{parts.path}{query}"
        return url


async def _parts(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for part in answer.content.iter_any():
        yield part


def _root(kind: str) -> str:
    return "/restapis/" if kind == "rest" else "/v2/apis/"


def _unknown(kind: str) -> tuple[HTTPStatus, str]:
    if kind == "rest":
        return HTTPStatus.FORBIDDEN, "Missing Authentication Token"
    return HTTPStatus.NOT_FOUND, "Not Found"


def _stage(entry: Api, found: dict[str, Any]) -> Stage | None:
    """What the stage serves; None where nothing was deployed to it."""
    name = f"auto:{found['stageName']}" if found.get("autoDeploy") else found.get("deploymentId")
    snapshot = entry.snapshots.get(name or "")
    variables = found.get("variables") or found.get("stageVariables") or {}
    return Stage(snapshot, tuple(sorted(variables.items()))) if snapshot else None


def rest_request(request: web.Request, stage: Stage, path: str) -> Outgoing:
    """The integration request of a REST API; raises GatewayError where no method matches."""
    resources = {found["path"]: found for found in json.loads(stage.snapshot)}
    for template, values in _matches(resources, path):
        methods = resources[template].get("resourceMethods") or {}
        method = methods.get(request.method) or methods.get("ANY")
        integration = (method or {}).get("methodIntegration")
        if integration and integration.get("type") == "HTTP_PROXY":
            return _rest_outgoing(request, integration, dict(stage.variables), values)
    raise GatewayError(*_unknown("rest"))


def _rest_outgoing(
    request: web.Request,
    integration: dict[str, Any],
    variables: dict[str, str],
    values: dict[str, str],
) -> Outgoing:
    headers = passed(request.headers)
    headers.popall("Content-Length", None)
    query = _query_of(request)
    placeholders: dict[str, str] = {}
    for target, expression in (integration.get("requestParameters") or {}).items():
        _, _, place, name = target.split(".", 3)
        value = rest_value(expression, request, variables, values)
        if value is None:
            continue
        if place == "header":
            headers[name] = value
        elif place == "querystring":
            query.append(f"{quote(name)}={quote(value)}")
        else:
            placeholders[name] = value
    method = integration.get("httpMethod") or "ANY"
    uri = _VARIABLE.sub(lambda m: variables.get(m[1], ""), integration["uri"])
    return Outgoing(
        url=_with_query(_fill(uri, placeholders), query),
        headers=headers,
        method=request.method if method == "ANY" else method,
        seconds=_seconds(integration),
        streams=integration.get("responseTransferMode") == "STREAM",
    )


def rest_value(
    expression: str, request: web.Request, variables: dict[str, str], values: dict[str, str]
) -> str | None:
    """What a mapping sends; None where it sends nothing, as for a value without its quotes."""
    if len(expression) > 1 and expression[0] == expression[-1] == "'":
        return expression[1:-1]
    if expression.startswith("stageVariables."):
        return variables.get(expression.removeprefix("stageVariables."))
    if match := _SOURCE.match(expression):
        sources = {
            "header": request.headers,
            "querystring": request.query,
            "path": values,
        }
        return sources[match[1]].get(match[2])
    return None


def http_request(request: web.Request, stage: Stage, path: str) -> Outgoing:
    """The integration request of an HTTP API; raises GatewayError where no route matches."""
    snapshot = json.loads(stage.snapshot)
    route, values = _route(snapshot["routes"], request.method, path)
    identity = route.get("target", "").removeprefix("integrations/")
    integration = snapshot["integrations"].get(identity)
    if integration is None or integration.get("integrationType") != "HTTP_PROXY":
        raise GatewayError(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error")
    variables = dict(stage.variables)
    headers = passed(request.headers)
    headers.popall("Content-Length", None)
    url = _with_query(_fill(integration["integrationUri"], values), _query_of(request))
    for target, expression in (integration.get("requestParameters") or {}).items():
        action, _, place = target.partition(":")
        kind, _, name = place.partition(".")
        if kind == "header":
            value = http_value(expression, request, variables)
            _map_header(headers, action, name, value)
    method = integration.get("integrationMethod") or "ANY"
    return Outgoing(
        url, headers, request.method if method == "ANY" else method, _seconds(integration)
    )


def _seconds(integration: dict[str, Any]) -> float:
    """Of an integration that names none, the emulator says how long AWS waits."""
    return int(integration["timeoutInMillis"]) / 1000


def _map_header(headers: CIMultiDict[str], action: str, name: str, value: str) -> None:
    if action == "append":
        headers[name] = ",".join([*headers.getall(name, []), value])
    elif action == "overwrite":
        headers[name] = value
    elif action == "remove":
        headers.popall(name, None)


def http_value(expression: str, request: web.Request, variables: dict[str, str]) -> str:
    """What a mapping sends: raw, quotes and all, unless it names a variable."""
    if expression.startswith("$request.header."):
        return request.headers.get(expression.removeprefix("$request.header."), "")
    if expression.startswith("$stageVariables."):
        return variables.get(expression.removeprefix("$stageVariables."), "")
    return (
        ""
        if expression.startswith("$")
        else _VARIABLE.sub(lambda m: variables.get(m[1], ""), expression)
    )


def _route(
    routes: list[dict[str, Any]], method: str, path: str
) -> tuple[dict[str, Any], dict[str, str]]:
    keys = {route["routeKey"]: route for route in routes}
    paths = {key.partition(" ")[2]: key for key in keys if " " in key}
    for template, values in _matches(paths, path):
        for key in (f"{method} {template}", f"ANY {template}"):
            if key in keys:
                return keys[key], values
    if "$default" in keys:
        return keys["$default"], {}
    raise GatewayError(*_unknown("http"))


def _matches(templates: Any, path: str) -> list[tuple[str, dict[str, str]]]:
    """The path templates that fit, the most literal first, with what their variables stand for."""
    found = []
    for template in templates:
        pattern = "".join(
            (r"(.+)" if part.endswith("+}") else r"([^/]+)") if part[:1] == "{" else re.escape(part)
            for part in re.split(r"(\{[^}]+\})", template)
        )
        if match := re.fullmatch(pattern, path) or re.fullmatch(pattern, path.rstrip("/")):
            found.append(
                (template, dict(zip(_PLACEHOLDER.findall(template), match.groups(), strict=True)))
            )
    return sorted(found, key=lambda pair: ("+}" in pair[0], pair[0].count("{"), -len(pair[0])))


def _fill(uri: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), uri)


def _query_of(request: web.Request) -> list[str]:
    raw = request.raw_path.partition("?")[2]
    return [raw] if raw else []


def _with_query(url: str, query: list[str]) -> str:
    if not query:
        return url
    return url + ("&" if "?" in url else "?") + "&".join(query)
