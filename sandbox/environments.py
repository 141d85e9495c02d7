"""Execution environments: processes that run the function's code, one invocation at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import children
from sandbox.invocation import Invocation
from sandbox.runtime_api import RuntimeApi
from sandbox.settings import ACCESS_KEY, MIB, SECRET_KEY, Settings

logger = logging.getLogger(__name__)

END_SECONDS = 0.5
LOG_LIMIT = 10 * MIB


class ThrottledError(Exception):
    """All processes that the function may have are busy."""


@dataclass(frozen=True)
class Revision:
    """All that makes a process what it is: a change in any of it needs a new process."""

    name: str
    region: str
    version: str
    arn: str
    runtime: str
    handler: str
    timeout: int
    memory: int
    code_sha256: str
    environment: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(eq=False)
class Environment:
    """One process and its Runtime API."""

    revision: Revision
    code: Path
    settings: Settings
    endpoint: str

    def __post_init__(self) -> None:
        self._api = RuntimeApi()
        self._process: asyncio.subprocess.Process | None = None
        self._answering: Invocation | None = None
        self.idle_since = time.monotonic()

    async def run(self, invocation: Invocation) -> bool:
        """Run it to its end. True where the process may be used again.

        Every failure ends up in the invocation: an init error, an exit, a time-out.
        """
        if self._process is None and not await self._started(invocation):
            return False
        # The time of the init does not count.
        invocation.deadline = time.time() + invocation.seconds
        self._answering = invocation
        self._api.give(invocation)
        try:
            async with asyncio.timeout(invocation.seconds):
                exited = await self._until(self._api.idle)
        except TimeoutError:
            text = f"{invocation.id} Task timed out after {invocation.seconds:.2f} seconds"
            invocation.fail(
                "Sandbox.Timeout", {"errorType": "Sandbox.Timeout", "errorMessage": text}
            )
            return False
        if not invocation.over:
            invocation.fail("Runtime.ExitError")
        self.idle_since = time.monotonic()
        return not exited

    @property
    def answered(self) -> bool:
        """True between the end of a response and the question for more work."""
        return self._answering is not None and self._answering.over

    async def end(self) -> None:
        if self._process is not None:
            await children.end(self._process, grace=END_SECONDS)
        await self._api.close()

    async def _started(self, invocation: Invocation) -> bool:
        await self._api.start()
        with self._log() as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                cwd=self.code,
                env=self._variables(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=children.bound_to_parent(signal.SIGKILL),
            )
        try:
            async with asyncio.timeout(self.settings.init_seconds):
                exited = await self._until(self._api.idle, self._api.failed)
        except TimeoutError:
            invocation.fail("Sandbox.Timeout")
            return False
        if self._api.init_error is not None:
            invocation.fail(self._api.init_error["errorType"], self._api.init_error)
            return False
        if exited:
            invocation.fail("Runtime.ExitError")
        return not exited

    async def _until(self, *events: asyncio.Event) -> bool:
        """Wait for one of the events; True where the process exited instead."""
        assert self._process is not None
        exit_ = asyncio.ensure_future(self._process.wait())
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait({exit_, *waits}, return_when=asyncio.FIRST_COMPLETED)
            return not any(event.is_set() for event in events)
        finally:
            for task in (exit_, *waits):
                task.cancel()

    def _command(self) -> list[str]:
        if (self.code / "bootstrap").exists():
            return ["sh", "bootstrap"]
        return [sys.executable, "-m", "spillway_lambda.runtime"]

    def _variables(self) -> dict[str, str]:
        """What AWS sets, what the function's configuration adds, and nothing of our own."""
        revision = self.revision
        interpreter = str(Path(sys.executable).parent)
        reserved = {
            "_HANDLER": revision.handler,
            "LAMBDA_TASK_ROOT": str(self.code),
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_LAMBDA_FUNCTION_NAME": revision.name,
            "AWS_LAMBDA_FUNCTION_VERSION": revision.version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(revision.memory),
            "AWS_REGION": revision.region,
            "AWS_DEFAULT_REGION": revision.region,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        defaults = {
            "PATH": os.pathsep.join([interpreter, os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": str(self.code),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return defaults | dict(revision.environment) | reserved

    def _log(self) -> LogFile:
        return LogFile(self.settings.state / "logs" / f"{self.revision.name}.log")


class LogFile:
    """A function's log, opened for appending; begun anew past 10 MiB."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> int:
        full = self._path.exists() and self._path.stat().st_size > LOG_LIMIT
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if full else 0)
        self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


class Pool:
    """All processes of one function: reused when idle, capped in number."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._idle: list[Environment] = []
        self._busy: set[Environment] = set()
        self._ending: set[asyncio.Task[None]] = set()

    async def run(self, invocation: Invocation, make: Callable[[], Environment]) -> None:
        """Run the invocation in a process as `make` makes them.

        Raises ThrottledError at once when the cap is reached. Never raises for what the function
        does: that is in the invocation.
        """
        await self._soon_idle(make().revision)
        environment = self._take(make)
        self._busy.add(environment)
        reusable = False
        try:
            reusable = await environment.run(invocation)
        except OSError:
            logger.exception("environment_failed", extra={"function": environment.revision.name})
        finally:
            if not invocation.over:
                invocation.fail("Sandbox.Failure")
            self._busy.discard(environment)
            if reusable:
                self._idle.append(environment)
            else:
                self._end(environment)

    async def _soon_idle(self, revision: Revision) -> None:
        """Wait a moment for a process that has answered: it asks for work before a new one does."""
        for _ in range(20):
            if any(e.revision == revision for e in self._idle):
                return
            if not any(e.revision == revision and e.answered for e in self._busy):
                return
            await asyncio.sleep(0.0025)

    def _take(self, make: Callable[[], Environment]) -> Environment:
        wanted = make()
        for environment in reversed(self._idle):
            if environment.revision == wanted.revision:
                self._idle.remove(environment)
                return environment
        if len(self._busy) >= self._settings.concurrency:
            raise ThrottledError
        if len(self._busy) + len(self._idle) >= self._settings.concurrency:
            self._end(self._idle.pop(0))
        return wanted

    def keep_only(self, live: list[Revision]) -> None:
        """End idle processes of revisions that serve no more, and those idle for too long."""
        oldest = time.monotonic() - self._settings.idle_seconds
        for environment in list(self._idle):
            if environment.revision not in live or environment.idle_since < oldest:
                self._idle.remove(environment)
                self._end(environment)

    async def close(self) -> None:
        for environment in [*self._idle, *self._busy]:
            self._end(environment)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._ending, return_exceptions=True)

    def _end(self, environment: Environment) -> None:
        task = asyncio.ensure_future(environment.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
