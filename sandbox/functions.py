"""What the emulator knows about functions: configurations, code, and how changes spread."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import logging
import secrets
import shutil
import time
import zipfile
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import aiohttp
from yarl import URL

from sandbox.emulator import Emulator, Scope
from sandbox.environments import Environment, Pool, Revision, ThrottledError
from sandbox.invocation import Invocation
from sandbox.propagation import Propagating
from sandbox.settings import Settings

logger = logging.getLogger(__name__)

CONFIG = "/2015-03-31/functions"
LATEST = "$LATEST"
THROTTLED = "TooManyRequestsException"


class NoSuchFunctionError(Exception):
    """There is no such function, version or alias."""


class NoCodeError(Exception):
    """The emulator no longer has the code of that version."""


@dataclass(frozen=True)
class Target:
    """A function as callers name it: perhaps by an alias or a version."""

    scope: Scope
    name: str
    qualifier: str = ""

    def path(self, tail: str = "", **query: str) -> str:
        words = {"Qualifier": self.qualifier, **query} if self.qualifier else query
        text = "&".join(f"{key}={quote(value, safe='')}" for key, value in words.items())
        return f"{CONFIG}/{quote(self.name)}{tail}" + (f"?{text}" if text else "")


def named(scope: Scope, reference: str, qualifier: str = "") -> Target:
    """The function behind a name, `name:alias` or an ARN, as paths have it."""
    name, _, alias = unquote(reference).rpartition(":function:")[-1].partition(":")
    return Target(scope, name, qualifier or alias)


# What an alias points at: revisions with their share of the requests.
Weighted = tuple[tuple[Revision, float], ...]


@dataclass
class _Observed:
    serving: Propagating[Weighted]
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Started:
    """An invocation under way, and the revision that it met."""

    revision: Revision
    invocation: Invocation


class Functions:
    """Runs functions as they are configured at the moment, or were a moment ago."""

    def __init__(self, settings: Settings, emulator: Emulator, endpoint: str) -> None:
        self._settings = settings
        self._emulator = emulator
        self._endpoint = endpoint
        self._observed: dict[Target, _Observed] = {}
        self._pools: dict[tuple[Scope, str], Pool] = {}
        self._locks: dict[Target, asyncio.Lock] = {}
        self._running: set[asyncio.Task[None]] = set()
        # Functions that could not be made ready, by name: what AWS says of them, `State` and all.
        self.failed: dict[str, dict[str, str]] = {}
        self._code = CodeStore(settings.state / "code", emulator)

    async def revision(self, target: Target) -> Revision:
        """The revision that one request meets; raises NoSuchFunctionError."""
        observed = self._observed.get(target)
        if observed is None or time.monotonic() - observed.at > self._settings.cache_seconds:
            observed = await self._observe(target)
        return _by_weight(observed.serving.pick())

    async def start(self, target: Target, event: bytes, *, limit: int) -> Started:
        """Begin to run the function; raises NoSuchFunctionError.

        It goes on when its reader leaves. Failures of every kind come out of the invocation.
        """
        revision = await self.revision(target)
        invocation = Invocation(
            event,
            arn=revision.arn,
            seconds=revision.timeout,
            limit=limit,
            drain=self._settings.drain_on_disconnect,
        )
        task = asyncio.create_task(self._run(target, revision, invocation))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return Started(revision, invocation)

    async def _run(self, target: Target, revision: Revision, invocation: Invocation) -> None:
        if self.failed.get(target.name, {}).get("State") == "Failed":
            invocation.fail("KMSDisabledException")
            return
        try:
            folder = await self._code.folder(target, revision)
            pool = self._pools.setdefault((target.scope, target.name), Pool(self._settings))
            await pool.run(
                invocation,
                lambda: Environment(revision, folder, self._settings, self._endpoint),
            )
        except ThrottledError:
            invocation.fail(THROTTLED)
        except (NoCodeError, aiohttp.ClientError):
            logger.exception("function_not_started", extra={"function": target.name})
            invocation.fail("Sandbox.Failure")

    async def changed(self, scope: Scope, name: str) -> None:
        """A call of the control plane touched the function: look at once.

        Waiting for the next request would start the time of propagation only then.
        """
        for target in [t for t in self._observed if (t.scope, t.name) == (scope, name)]:
            try:
                await self._observe(target, fresh=True)
            except NoSuchFunctionError:
                del self._observed[target]

    async def updating(self, target: Target) -> bool:
        """True while the emulator still applies the last update; False where there is nothing."""
        try:
            config = await self._get(target, target.path("/configuration"))
        except NoSuchFunctionError:
            return False
        return "InProgress" in str(config.get("LastUpdateStatus"))

    async def keep_code(self, scope: Scope, name: str) -> None:
        """Store the code of `$LATEST`: of published versions the emulator hands out none."""
        await self._code.fetch(Target(scope, name))

    def reap(self) -> None:
        """End the idle processes of revisions that no request can meet any more."""
        for (scope, name), pool in self._pools.items():
            mine = [o for t, o in self._observed.items() if (t.scope, t.name) == (scope, name)]
            shares = [share for o in mine for weighted in o.serving.live() for share in weighted]
            pool.keep_only([revision for revision, _ in shares])

    async def close(self) -> None:
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _observe(self, target: Target, *, fresh: bool = False) -> _Observed:
        lock = self._locks.setdefault(target, asyncio.Lock())
        async with lock:
            observed = self._observed.get(target)
            # Another request may have looked while this one waited for the lock.
            if observed and not fresh:
                age = time.monotonic() - observed.at
                if age <= self._settings.cache_seconds:
                    return observed
            weighted = await self._weighted(target)
            if observed is None:
                seconds = self._settings.propagation_seconds
                observed = _Observed(Propagating(weighted, seconds=seconds))
                self._observed[target] = observed
            observed.serving.change(weighted)
            observed.at = time.monotonic()
            return observed

    async def _weighted(self, target: Target) -> Weighted:
        qualifier = target.qualifier or LATEST
        if qualifier == LATEST or qualifier.isdigit():
            return ((await self._read(target, qualifier), 1.0),)
        alias = await self._get(target, f"{CONFIG}/{quote(target.name)}/aliases/{quote(qualifier)}")
        others = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        main = (alias["FunctionVersion"], 1.0 - sum(others.values()))
        return tuple(
            [
                (await self._read(target, version), share)
                for version, share in [main, *others.items()]
            ]
        )

    async def _read(self, target: Target, version: str) -> Revision:
        versioned = Target(target.scope, target.name, "" if version == LATEST else version)
        config = await self._get(target, versioned.path("/configuration"))
        variables = (config.get("Environment") or {}).get("Variables") or {}
        base = config["FunctionArn"].split(":function:")[0] + f":function:{target.name}"
        return Revision(
            name=target.name,
            region=target.scope.region,
            version=config.get("Version") or LATEST,
            arn=f"{base}:{target.qualifier}" if target.qualifier else base,
            runtime=config.get("Runtime", ""),
            handler=config.get("Handler", ""),
            timeout=int(config.get("Timeout", 3)),
            memory=int(config.get("MemorySize", 128)),
            code_sha256=config["CodeSha256"],
            environment=tuple(sorted(variables.items())),
        )

    async def _get(self, target: Target, path: str) -> dict[str, Any]:
        answer = await self._emulator.call("GET", path, scope=target.scope, service="lambda")
        if answer.status == HTTPStatus.NOT_FOUND:
            raise NoSuchFunctionError(target.name)
        if not answer.ok:
            raise NoSuchFunctionError(f"{target.name}: {answer.status}")
        found: dict[str, Any] = answer.json()
        return found


class CodeStore:
    """Unzipped code by its digest, kept over restarts."""

    def __init__(self, root: Path, emulator: Emulator) -> None:
        self._root = root
        self._emulator = emulator

    async def folder(self, target: Target, revision: Revision) -> Path:
        """Where the revision's code stands; raises NoCodeError."""
        folder = self._folder(revision.code_sha256)
        if not folder.exists():
            await self.fetch(target)
        if not folder.exists():
            raise NoCodeError(f"{revision.name}:{revision.version}")
        return folder.resolve()

    async def fetch(self, target: Target) -> None:
        """Store what the emulator has as the function's newest code."""
        path = Target(target.scope, target.name).path()
        answer = await self._emulator.call("GET", path, scope=target.scope, service="lambda")
        location = answer.json().get("Code", {}).get("Location") if answer.ok else None
        if not location:
            return
        parts = urlsplit(location)
        url = URL(f"{self._emulator.url}{parts.path}?{parts.query}", encoded=True)
        async with self._emulator.http.get(url) as response:
            archive = await response.read()
        digest = base64.b64encode(hashlib.sha256(archive).digest()).decode()
        folder = self._folder(digest)
        if archive and not folder.exists():
            await asyncio.to_thread(_unpack, archive, folder)

    def _folder(self, digest: str) -> Path:
        return self._root / base64.b64decode(digest).hex()


def _unpack(archive: bytes, folder: Path) -> None:
    """Unzip beside the folder, then rename: a folder that exists is whole."""
    beside = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}")
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            packed.extractall(beside)
        beside.rename(folder)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        if not folder.exists():
            raise
    except zipfile.BadZipFile:
        logger.warning("code_is_no_zip", extra={"folder": folder.name})


def _by_weight(weighted: Weighted) -> Revision:
    point = secrets.SystemRandom().random()
    for revision, share in weighted:
        point -= share
        if point < 0:
            return revision
    return weighted[0][0]
