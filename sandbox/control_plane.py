"""Calls of Lambda's and API Gateway's control plane: the emulator's, with its gaps filled.

What is filled, and nothing else:
- `FunctionUrl` shows where the front serves it, `FunctionArn` beside it the alias; and so do the
  integrations that a stack has made;
- where the settings ask for it, 409 while an update is under way;
- where the settings ask for it, a function whose key of KMS is disabled does not become ready: one
  that is made is `Failed`, and one that is updated stays as it is, with a failed update;
- the code of every version is kept (the emulator hands out that of `$LATEST` only);
- REST: the endpoint's type in UpdateRestApi, `responseTransferMode` of PutIntegration, GetExport of
  what is deployed, and, where the settings ask for it, the refusal of unquoted mappings;
- HTTP APIs: UpdateIntegration merges `requestParameters` (`""` removes), CreateDeployment with a
  stage moves the stage to it;
- Secrets Manager (in `stored_secrets.py`): CreateSecret gives its version the caller's id, and none
  where there is no value; PutSecretValue leaves a version alone that is there already, refuses
  another value under its id, takes a label from the version that has it, and makes a secret's first
  version current.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from sandbox.emulator import Emulator, Scope
from sandbox.function_urls import FunctionUrls, UrlBook
from sandbox.functions import LATEST, Functions, Target, named
from sandbox.gateways import Gateways
from sandbox.keys import Keys
from sandbox.relay import UNASKED, passed, signed
from sandbox.settings import Settings

_FUNCTION = re.compile(r"^/20\d\d-\d\d-\d\d/functions(?:/([^/?]+))?(?:/([^/?]+))?")
_REST = re.compile(r"^/restapis(?:/([^/?]+))?(/[^?]*)?")
_HTTP = re.compile(r"^/v2/apis(?:/([^/?]+))?(/[^?]*)?")
_REST_INTEGRATION = re.compile(r"^/resources/[^/]+/methods/[^/]+/integration$")
_HTTP_INTEGRATION = re.compile(r"^/integrations/[^/]+$")
_EXPORT = re.compile(r"^/stages/([^/]+)/exports/oas30$")
_MAPPING_PATH = re.compile(r"^/requestParameters/")
_TYPE_PATH = re.compile(r"^(/endpointConfiguration/types)/[A-Z]+$")
_DYNAMIC = re.compile(r"^(method\.request\.|context\.|stageVariables\.)")


@dataclass
class _Exchange:
    """A request, changed perhaps before it goes on, and the emulator's answer to it."""

    method: str
    path: str
    body: bytes
    headers: CIMultiDict[str]
    scope: Scope
    status: int = 0
    answer: bytes = b""

    @property
    def ok(self) -> bool:
        return self.status < HTTPStatus.BAD_REQUEST

    @property
    def writes(self) -> bool:
        return self.method not in {"GET", "HEAD"}

    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}

    def say(self, told: Any, service: str) -> None:
        """This instead, of which the caller has signed nothing."""
        self.body = json.dumps(told).encode()
        self.headers["Authorization"] = self.scope.authorization(service)

    def told(self) -> Any:
        return json.loads(self.answer) if self.answer else {}


class ControlPlane:
    """Passes calls on, and tells functions and gateways what has changed."""

    def __init__(
        self,
        settings: Settings,
        emulator: Emulator,
        functions: Functions,
        urls: FunctionUrls,
        book: UrlBook,
        gateways: Gateways,
        keys: Keys,
    ) -> None:
        self._settings = settings
        self._emulator = emulator
        self._functions = functions
        self._urls = urls
        self._book = book
        self._gateways = gateways
        self._keys = keys

    async def serve(self, request: web.Request, scope: Scope) -> web.Response:
        exchange = _Exchange(
            request.method,
            request.raw_path,
            await request.read(),
            signed(request.headers),
            scope,
        )
        if match := _REST.match(exchange.path):
            refusal = await self._rest(exchange, match[1] or "", match[2] or "")
        elif match := _HTTP.match(exchange.path):
            refusal = await self._http(exchange, match[1] or "", match[2] or "")
        else:
            refusal = await self._function(exchange, _FUNCTION.match(exchange.path))
        if refusal is not None:
            return refusal
        if not _FUNCTION.match(exchange.path):
            exchange.answer = self._book.shown(exchange.answer)
        exchange.headers.popall("Content-Length", None)
        return web.Response(status=exchange.status, headers=exchange.headers, body=exchange.answer)

    async def _pass(self, exchange: _Exchange) -> None:
        exchange.headers.popall("Content-Length", None)
        async with self._emulator.http.request(
            exchange.method,
            URL(self._emulator.url + exchange.path, encoded=True),
            headers=exchange.headers,
            data=exchange.body or None,
            allow_redirects=False,
            skip_auto_headers=UNASKED,
        ) as response:
            exchange.status = response.status
            exchange.answer = await response.read()
            exchange.headers = passed(response.headers)

    async def _function(
        self, exchange: _Exchange, match: re.Match[str] | None
    ) -> web.Response | None:
        updates = match and match[2] in {"code", "configuration"} and exchange.writes
        if match and updates and self._settings.strict_updates:
            target = named(exchange.scope, match[1])
            if await self._functions.updating(target):
                return _update_under_way(target)
        makes = match and not match[1] and exchange.method == "POST"
        if match and (updates or makes) and self._settings.strict_access:
            await self._note_key(exchange, match[1] or "", makes=bool(makes))
        await self._pass(exchange)
        if match is None or not exchange.ok:
            return None
        reference, action = match[1] or "", match[2] or ""
        if not exchange.writes and action in {"", "configuration"} and reference:
            self._show_failure(exchange, reference)
        if action in {"url", "urls"} and exchange.answer:
            told = exchange.told()
            qualifier = URL(exchange.path, encoded=True).query.get("Qualifier", "")
            target = named(exchange.scope, reference, qualifier.replace(LATEST, ""))
            for config in told.get("FunctionUrlConfigs", [told]):
                self._book.learn(target, config)
            exchange.answer = json.dumps(told).encode()
        if not exchange.writes:
            return None
        name = named(exchange.scope, reference or exchange.json().get("FunctionName", "")).name
        if not action or action == "code":
            await self._functions.keep_code(exchange.scope, name)
        self._urls.changed()
        await self._functions.changed(exchange.scope, name)
        return None

    async def _note_key(self, exchange: _Exchange, reference: str, *, makes: bool) -> None:
        """Whether the function can be made ready; a failing update is not passed on as it is."""
        told = exchange.json()
        name = named(exchange.scope, reference or told.get("FunctionName", "")).name
        key = told.get("KMSKeyArn")
        if not key or not await self._keys.is_disabled(exchange.scope, key):
            self._functions.failed.pop(name, None)
            return
        reason = {"Reason": "The KMS key is disabled.", "ReasonCode": "DisabledKMSKey"}
        if makes:
            self._functions.failed[name] = {"State": "Failed"} | {
                f"State{part}": text for part, text in reason.items()
            }
            return
        self._functions.failed[name] = {"LastUpdateStatus": "Failed"} | {
            f"LastUpdateStatus{part}": text for part, text in reason.items()
        }
        exchange.say({}, "lambda")

    def _show_failure(self, exchange: _Exchange, reference: str) -> None:
        failure = self._functions.failed.get(named(exchange.scope, reference).name)
        if failure:
            told = exchange.told()
            told.get("Configuration", told).update(failure)
            exchange.answer = json.dumps(told).encode()

    async def _rest(self, exchange: _Exchange, api: str, tail: str) -> web.Response | None:
        if match := _EXPORT.match(tail):
            extensions = URL(exchange.path, encoded=True).query.get("extensions", "")
            if "integrations" in extensions or "apigateway" in extensions:
                return await self._export(exchange, api, unquote(match[1]))
        sets_integration = _REST_INTEGRATION.match(tail) and exchange.writes
        if sets_integration and self._settings.strict_mappings:
            wrong = _unquoted(exchange.json())
            if wrong is not None:
                return _bad_mapping(wrong)
        if exchange.method == "PATCH" and not tail:
            _spell_out_types(exchange)
        await self._pass(exchange)
        if not exchange.ok or not exchange.writes or not api:
            return None
        if sets_integration and exchange.method == "PUT":
            await self._set_transfer_mode(exchange)
        if tail == "/deployments":
            await self._deployed(exchange, api)
        if tail == "/stages":
            made = exchange.told()
            await self._gateways.staged(
                exchange.scope, api, made["stageName"], made["deploymentId"]
            )
        await self._gateways.changed("rest", exchange.scope, api)
        return None

    async def _export(self, exchange: _Exchange, api: str, stage: str) -> web.Response | None:
        document = await self._gateways.exported(exchange.scope, api, stage)
        if document is None:
            await self._pass(exchange)
            return None
        shown = self._book.shown(document.encode())
        return web.Response(body=shown, content_type="application/json")

    async def _set_transfer_mode(self, exchange: _Exchange) -> None:
        mode = exchange.json().get("responseTransferMode")
        if mode is None:
            return
        operation = {"op": "replace", "path": "/responseTransferMode", "value": mode}
        path = exchange.path.partition("?")[0]
        answer = await self._emulator.call(
            "PATCH",
            path,
            scope=exchange.scope,
            service="apigateway",
            data={"patchOperations": [operation]},
        )
        exchange.answer = answer.body

    async def _deployed(self, exchange: _Exchange, api: str) -> None:
        deployment = exchange.told()["id"]
        await self._gateways.deployed("rest", exchange.scope, api, deployment)
        if stage := exchange.json().get("stageName"):
            await self._gateways.export(api, stage, deployment)

    async def _http(self, exchange: _Exchange, api: str, tail: str) -> web.Response | None:
        if exchange.method == "PATCH" and _HTTP_INTEGRATION.match(tail):
            await self._merge_parameters(exchange)
        await self._pass(exchange)
        if not exchange.ok or not exchange.writes or not api:
            return None
        if tail == "/deployments" and exchange.method == "POST":
            deployment = exchange.told()["deploymentId"]
            await self._gateways.deployed("http", exchange.scope, api, deployment)
            await self._move_stage(exchange, api, deployment)
        await self._gateways.changed("http", exchange.scope, api)
        return None

    async def _merge_parameters(self, exchange: _Exchange) -> None:
        wanted = exchange.json()
        if "requestParameters" not in wanted:
            return
        answer = await self._emulator.call(
            "GET",
            exchange.path.partition("?")[0],
            scope=exchange.scope,
            service="apigateway",
        )
        stands = (answer.json().get("requestParameters") or {}) if answer.ok else {}
        merged = stands | (wanted["requestParameters"] or {})
        wanted["requestParameters"] = {key: value for key, value in merged.items() if value}
        exchange.say(wanted, "apigateway")

    async def _move_stage(self, exchange: _Exchange, api: str, deployment: str) -> None:
        if stage := exchange.json().get("stageName"):
            await self._emulator.call(
                "PATCH",
                f"/v2/apis/{api}/stages/{stage}",
                scope=exchange.scope,
                service="apigateway",
                data={"deploymentId": deployment},
            )


def _spell_out_types(exchange: _Exchange) -> None:
    """The type that takes another's place becomes the list that the emulator understands."""
    told = exchange.json()
    for operation in told.get("patchOperations") or []:
        if match := _TYPE_PATH.match(operation.get("path", "")):
            operation |= {"path": match[1], "value": [operation["value"]]}
            exchange.say(told, "apigateway")


def _unquoted(told: dict[str, Any]) -> str | None:
    """The first mapping that is neither a quoted value nor a source that is known."""
    values = list((told.get("requestParameters") or {}).values())
    values += [
        operation.get("value", "")
        for operation in told.get("patchOperations") or []
        if _MAPPING_PATH.match(operation.get("path", "")) and operation.get("op") != "remove"
    ]
    for value in values:
        quoted = len(value) > 1 and value[0] == value[-1] == "'"
        if not quoted and not _DYNAMIC.match(value):
            return str(value)
    return None


def _update_under_way(target: Target) -> web.Response:
    text = "The operation cannot be performed at this time. An update is in progress for resource"
    return web.json_response(
        {"Type": "User", "Message": f"{text}: {target.name}"},
        status=HTTPStatus.CONFLICT,
        headers={"x-amzn-ErrorType": "ResourceConflictException"},
    )


def _bad_mapping(value: str) -> web.Response:
    text = f"Invalid mapping expression specified: {value}"
    return web.json_response(
        {
            "message": f"Validation Result: warnings : [], errors : [{text}]",
        },
        status=HTTPStatus.BAD_REQUEST,
        headers={"x-amzn-ErrorType": "BadRequestException"},
    )
