"""The one endpoint: what is ours is served here, the rest goes on to the emulator."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from http import HTTPStatus

import aiohttp
from aiohttp import web
from yarl import URL

from sandbox import function_urls, gateways
from sandbox.buckets import Buckets
from sandbox.control_plane import ControlPlane
from sandbox.emulator import Emulator, Scope
from sandbox.function_urls import FunctionUrls, UrlBook
from sandbox.functions import Functions
from sandbox.gateways import Gateways
from sandbox.invoke import Invocations
from sandbox.keys import Keys
from sandbox.objects import GeneratedObjects
from sandbox.relay import UNASKED, Relay, passed, signed
from sandbox.settings import ACCESS_KEY, SECRET_KEY, Settings
from sandbox.signatures import Credentials, scope_of
from sandbox.simulation import Simulation
from sandbox.stored_secrets import StoredSecrets

logger = logging.getLogger(__name__)

REAP_SECONDS = 0.5
# An account's own access key, as the emulator has them. Others are users and sessions of it, in
# whose names the front does not call.
_ACCOUNT = re.compile(r"\d{12}")
_CREDENTIALS = re.compile(
    rb"<AccessKeyId>([^<]+)</AccessKeyId>\s*<SecretAccessKey>([^<]+)</SecretAccessKey>"
    rb"\s*<SessionToken>([^<]+)</SessionToken>"
)


class Front:
    """Routes every request. `endpoint` is the URL at which it is reached."""

    def __init__(self, settings: Settings, emulator: Emulator, endpoint: str) -> None:
        state = settings.state
        self._settings = settings
        self._emulator = emulator
        self._credentials = Credentials(ACCESS_KEY, SECRET_KEY)
        self._book = UrlBook(state / "function-urls.json", endpoint)
        self._functions = Functions(settings, emulator, endpoint)
        self._urls = FunctionUrls(
            settings, emulator, self._functions, self._book, self._credentials
        )
        self._invocations = Invocations(settings, self._functions)
        self._gateways = Gateways(settings, emulator, state / "gateways.json", endpoint)
        keys = Keys(emulator)
        self._control = ControlPlane(
            settings, emulator, self._functions, self._urls, self._book, self._gateways, keys
        )
        self._buckets = Buckets(settings, emulator, keys)
        self._secrets = StoredSecrets(emulator)
        self._simulation = Simulation(emulator)
        self._objects = GeneratedObjects(settings.generated)
        self._reaper = asyncio.create_task(self._reap())

    async def close(self) -> None:
        self._reaper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reaper
        await self._functions.close()
        await self._gateways.close()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._route(request)
        except (aiohttp.ClientError, OSError):
            # The emulator has gone, or the client left in the middle of its request.
            logger.exception("request_failed", extra={"path": request.path})
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)

    async def _route(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path
        if path.startswith(function_urls.PREFIX):
            return await self._urls.serve(request)
        if path.startswith((gateways.REST, gateways.HTTP)):
            return await self._gateways.serve(request)
        key, region, service = scope_of(request.headers) or ("", self._settings.region, "")
        scope = Scope(region, key if _ACCOUNT.fullmatch(key) else ACCESS_KEY)
        if service == "lambda" and Invocations.wants(request):
            return await self._invocations.serve(request, scope)
        if service in {"lambda", "apigateway"}:
            return await self._control.serve(request, scope)
        if service == "secretsmanager":
            return await self._secrets.serve(request, scope)
        if service == "iam":
            return await self._simulation.serve(request)
        if found := self._objects.find(request):
            return await self._objects.serve(request, found)
        if service == "s3":
            refusal = await self._buckets.refusal(request, scope, key)
            if refusal is not None:
                return refusal
        return await self._pass(request, learn=service == "sts")

    async def _pass(self, request: web.Request, *, learn: bool) -> web.StreamResponse:
        """Stream the request to the emulator and its answer back; neither is held in memory."""
        headers = signed(request.headers)
        async with self._emulator.http.request(
            request.method,
            URL(self._emulator.url + request.raw_path, encoded=True),
            headers=headers,
            data=request.content if request.body_exists else None,
            allow_redirects=False,
            skip_auto_headers=UNASKED,
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers=passed(answer.headers))
            first = await answer.read() if learn else b""
            for key, secret, token in _CREDENTIALS.findall(first):
                self._credentials.learn(key.decode(), secret.decode(), token.decode())
            relay = Relay(request, response)
            try:
                await relay.send(first, _parts(answer))
            except (aiohttp.ClientError, OSError):
                relay.cut()
            return response

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(REAP_SECONDS)
            self._functions.reap()


async def _parts(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for part in answer.content.iter_any():
        yield part
