"""`python -m sandbox`: serve until a signal, or until the parent goes away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading

import uvloop
from aiohttp import web

from sandbox.emulator import Emulator, EmulatorError
from sandbox.front import Front
from sandbox.settings import MIB, Settings, describe, parse

logger = logging.getLogger("sandbox")

# What one client's connection may hold back on its way in.
READ_BUFFER = MIB // 4


async def serve(settings: Settings) -> int:
    """Serve until asked to end. The exit status: 1 where the emulator failed."""
    # Environments and mappings lie in there, and they hold secrets.
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", settings.port), backlog=1024) as listener:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        emulator = Emulator(settings)
        await emulator.start()
        front = Front(settings, emulator, endpoint)
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", front.serve)
        # Bodies pass as they are: an encoding is between the client and S3.
        runner = web.AppRunner(
            app,
            auto_decompress=False,
            access_log=None,
            read_bufsize=READ_BUFFER,
            shutdown_timeout=1.0,
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            print(json.dumps({"url": endpoint, "pid": os.getpid()}), flush=True)
            logger.info("ready: %s", describe(settings))
            return await _until_asked_to_end(settings, emulator)
        finally:
            await front.close()
            await runner.cleanup()
            await emulator.stop()


async def _until_asked_to_end(settings: Settings, emulator: Emulator) -> int:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, asked.set)
    if settings.with_parent:
        watch = threading.Thread(target=_watch_parent, args=(loop, asked), daemon=True)
        watch.start()
    ends = {asyncio.ensure_future(asked.wait()), asyncio.ensure_future(emulator.ended())}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    if not asked.is_set():
        logger.error("The emulator has ended. Its log is in %s.", settings.state / "logs")
    return 0 if asked.is_set() else 1


def _watch_parent(loop: asyncio.AbstractEventLoop, asked: asyncio.Event) -> None:
    # Raw reads: a thread that waits in a buffered one would hold up the interpreter's end.
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(asked.set)


def main() -> int:
    settings = parse()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(serve(settings))
        except (EmulatorError, OSError) as exc:
            print(f"sandbox: {exc}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
