"""The application that `manage.py serve` runs: static files, then Django."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpRequest, HttpResponseBase

django.setup(set_prefix=False)

import portal.urls  # noqa: E402, F401 - all pages, for which the first request would else wait
from portal import tracing  # noqa: E402
from portal.middleware import PROBES  # noqa: E402
from portal.static import StaticFiles  # noqa: E402
from streams.delivery import engine  # noqa: E402 - its models need the set-up above
from streams.models import Figure  # noqa: E402

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Handler(ASGIHandler):
    """Django's handler, for responses that last for hours."""

    # One message for each chunk of ours; the 64 KiB of the original cost a third of the speed.
    chunk_size = 4 * 1024 * 1024

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.handle(scope, receive, send)

    async def run_get_response(self, request: HttpRequest) -> HttpResponseBase:
        """Answers a request within a thread of its own, which ends before the body is sent.

        The original keeps that thread, and its database connection, until the last byte is out.
        The thread is made when something first needs it; a download never does.
        """
        async with ThreadSensitiveContext() as context:
            try:
                response = await super().run_get_response(request)
                # Probes come all the time, and each count is written.
                if request.path not in PROBES:
                    figures = engine.current().figures
                    figures.count(Figure.RESPONSES, f"{response.status_code // 100}xx")
                return response
            finally:
                if context in SyncToAsync.context_to_thread_executor:
                    await sync_to_async(connections.close_all)()


def _drain_on_signals(shared: engine.Engine) -> None:
    """Tells the downloads that the process goes down, before the server acts on the signal."""

    def chained(number: int, frame: Any) -> None:
        shared.drain()
        server_handlers[number](number, frame)

    server_handlers: dict[int, Any] = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        if callable(handler := signal.getsignal(number)):
            server_handlers[number] = handler
            signal.signal(number, chained)


async def _live(receive: Receive, send: Send) -> None:
    """The lifespan protocol: starts what all downloads share, and ends it."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            tracing.start()
            _drain_on_signals(engine.current())
            await send({"type": "lifespan.startup.complete"})
        else:
            await engine.shut_down()
            # What is waiting is sent, which may take seconds.
            await asyncio.to_thread(tracing.stop)
            await send({"type": "lifespan.shutdown.complete"})
            return


_django = Handler()
_static = StaticFiles(Path(settings.STATIC_ROOT), settings.STATIC_URL)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Each ASGI connection."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "http" and scope["path"].startswith(settings.STATIC_URL):
        # Beside Django, and not as middleware that each download would pass through.
        await _static(scope, receive, send)
    else:
        await _django(scope, receive, send)
