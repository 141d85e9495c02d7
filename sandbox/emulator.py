"""The third-party emulator behind the front: ministack, as a child on a port of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
from yarl import URL

from sandbox import children
from sandbox.settings import ACCESS_KEY, MIB, Settings

START_SECONDS = 30.0
# It saves its state on the way out, and a large S3 record takes a moment.
STOP_SECONDS = 10.0
JSON = "application/x-amz-json-1.1"


class EmulatorError(Exception):
    """The emulator did not start, or has ended."""


@dataclass(frozen=True)
class Scope:
    """The account and region that a call is for; the emulator reads them from the signature."""

    region: str
    access_key: str = ACCESS_KEY

    def authorization(self, service: str) -> str:
        """A header that only names the scope: the emulator verifies no signatures."""
        return (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/20260101/{self.region}/{service}"
            "/aws4_request, SignedHeaders=host, Signature=0"
        )


@dataclass(frozen=True)
class Answer:
    """One small answer of the control plane."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        return self.status < HTTPStatus.BAD_REQUEST

    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}


class Emulator:
    """Starts, calls and stops ministack. Its files stay in the state folder."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""
        self.http: aiohttp.ClientSession

    async def start(self) -> None:
        """Return when it answers; raises EmulatorError when it does not within 30 s."""
        state = self._settings.state
        for folder in ("emulator", "s3", "temporary", "logs"):
            (state / folder).mkdir(parents=True, exist_ok=True)
        self.http = aiohttp.ClientSession(
            auto_decompress=False,
            read_bufsize=MIB // 4,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            (state / "logs" / "emulator.log").open("ab") as log,
        ):
            # Inherited by every connection. uvicorn takes a passed socket for a Unix one and leaves
            # this unset, and each answer would wait 40 ms for an acknowledgement.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._process = await asyncio.create_subprocess_exec(
                *self._command(listener.fileno()),
                env=self._environment(listener.getsockname()[1]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
                start_new_session=True,
                # SIGTERM rather than SIGKILL: it saves its state before it goes.
                preexec_fn=children.bound_to_parent(signal.SIGTERM),
            )
        await self._until_ready()

    async def stop(self) -> None:
        if self._process is not None:
            await children.end(self._process, grace=STOP_SECONDS)
        await self.http.close()

    async def ended(self) -> None:
        """Return when the emulator ends by itself."""
        assert self._process is not None
        await self._process.wait()

    async def call(
        self,
        method: str,
        path: str,
        *,
        scope: Scope,
        service: str,
        data: Any = None,
    ) -> Answer:
        """One control-plane call of our own. `path` is sent as it is, query included."""
        async with self.http.request(
            method,
            URL(self.url + path, encoded=True),
            data=None if data is None else json.dumps(data),
            headers={
                "Authorization": scope.authorization(service),
                "Content-Type": "application/json",
                # It takes `*/*` for an export in some other form, and refuses.
                "Accept": "application/json",
            },
        ) as response:
            return Answer(response.status, await response.read())

    async def ask(
        self, service: str, action: str, told: dict[str, Any], scope: Scope, prefix: str = ""
    ) -> Answer:
        """The same of a service that takes JSON for everything; `prefix` is its name there."""
        async with self.http.post(
            self.url,
            data=json.dumps(told),
            headers={
                "Authorization": scope.authorization(service),
                "Content-Type": JSON,
                "X-Amz-Target": f"{prefix or service}.{action}",
            },
        ) as response:
            return Answer(response.status, await response.read())

    def _command(self, descriptor: int) -> list[str]:
        # uvicorn instead of ministack's own server: three times its rate on large S3 objects
        # and two thirds of its memory, and it takes a socket that is already bound.
        server = ["uvicorn", "ministack.app:app", "--fd", str(descriptor)]
        loop = ["--loop", "uvloop", "--http", "httptools"]
        quiet = ["--no-access-log", "--log-level", "warning"]
        return [sys.executable, "-m", *server, *loop, *quiet, "--timeout-graceful-shutdown", "2"]

    def _environment(self, port: int) -> dict[str, str]:
        state = self._settings.state.resolve()
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(state),
            "GATEWAY_PORT": str(port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_REGION": self._settings.region,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(state / "emulator"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(state / "s3"),
            "TMPDIR": str(state / "temporary"),
            "AUTH": str(self._settings.strict_access).lower(),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
        }

    async def _until_ready(self) -> None:
        assert self._process is not None
        try:
            async with (
                asyncio.timeout(START_SECONDS),
                # The socket listens already: the call waits in its backlog.
                self.http.get(f"{self.url}/_ministack/health") as response,
            ):
                response.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as exc:
            log = self._settings.state / "logs" / "emulator.log"
            await self.stop()
            raise EmulatorError(f"The emulator did not start. Its log is {log}.") from exc
