"""Calls of Secrets Manager: the emulator's, with what it lacks about versions and their labels."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from aiohttp import web

from sandbox.emulator import JSON, Answer, Emulator, Scope

CURRENT = "AWSCURRENT"
PREVIOUS = "AWSPREVIOUS"


class StoredSecrets:
    """Answers as AWS does where a version's id or a label is there already."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        # One call may become several of the emulator's, which nobody is to see halfway.
        self._lock = asyncio.Lock()

    async def serve(self, request: web.Request, scope: Scope) -> web.Response:
        action = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        told: dict[str, Any] = json.loads(await request.read() or b"{}")
        async with self._lock:
            match action:
                case "CreateSecret":
                    answer = await self._create(told, scope)
                case "PutSecretValue":
                    answer = await self._put(told, scope)
                case _:
                    answer = await self._call(action, told, scope)
        return web.Response(status=answer.status, body=answer.body, content_type=JSON)

    async def _create(self, told: dict[str, Any], scope: Scope) -> Answer:
        """The first version has the caller's id; without a value there is none."""
        answer = await self._call("CreateSecret", told, scope)
        if not answer.ok:
            return answer
        made = answer.json()
        where, first = {"SecretId": made["ARN"]}, made.pop("VersionId")
        token = told.get("ClientRequestToken")
        value = {key: told[key] for key in ("SecretString", "SecretBinary") if key in told}
        if not value:
            await self._remove(CURRENT, first, where, scope)
        elif token:
            put = where | value | {"ClientRequestToken": token}
            await self._call("PutSecretValue", put, scope)
            await self._remove(PREVIOUS, first, where, scope)
            made["VersionId"] = token
        return _answer(made)

    async def _put(self, told: dict[str, Any], scope: Scope) -> Answer:
        """A version that is there stays; a label comes away from the version that has it."""
        where = {"SecretId": told.get("SecretId")}
        token = told.get("ClientRequestToken", "")
        held = await self._call("GetSecretValue", {**where, "VersionId": token}, scope)
        if token and held.ok:
            return _again(told, held.json())
        described = await self._call("DescribeSecret", where, scope)
        bearers = {
            label: version
            for version, labels in (described.json().get("VersionIdsToStages") or {}).items()
            for label in labels
        }
        labels = told.get("VersionStages") or [CURRENT]
        if CURRENT not in bearers and CURRENT not in labels:
            labels = [*labels, CURRENT]
        others = [label for label in labels if label != CURRENT]
        for label in others:
            if label in bearers:
                await self._remove(label, bearers[label], where, scope)
        answer = await self._call("PutSecretValue", {**told, "VersionStages": labels}, scope)
        if not answer.ok or CURRENT not in labels:
            return answer
        for label in others:
            move = {**where, "VersionStage": label, "MoveToVersionId": token}
            await self._call("UpdateSecretVersionStage", move, scope)
        return _answer(answer.json() | {"VersionStages": labels})

    async def _remove(self, label: str, version: str, where: dict[str, Any], scope: Scope) -> None:
        told = {**where, "VersionStage": label, "RemoveFromVersionId": version}
        await self._call("UpdateSecretVersionStage", told, scope)

    async def _call(self, action: str, told: dict[str, Any], scope: Scope) -> Answer:
        return await self._emulator.ask("secretsmanager", action, told, scope)


def _again(told: dict[str, Any], held: dict[str, Any]) -> Answer:
    """The same version once more is no error, and another one under its id is."""
    if all(told.get(key) == held.get(key) for key in ("SecretString", "SecretBinary")):
        return _answer({key: held[key] for key in ("ARN", "Name", "VersionId", "VersionStages")})
    text = "You can't use ClientRequestToken with a different value: the version exists already."
    return _answer({"__type": "ResourceExistsException", "Message": text}, HTTPStatus.BAD_REQUEST)


def _answer(told: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(status, json.dumps(told).encode())
