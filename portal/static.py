"""Static files: WhiteNoise's index of them, answered without its WSGI interface.

An adapter from WSGI would send every file through one thread, which a client that reads slowly
keeps from all others.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from whitenoise import WhiteNoise

# Names that hold a hash of what is in the file, as `collectstatic` makes them.
HASHED = r"\.[0-9a-f]{12}\."
Head = tuple[int, list[tuple[bytes, bytes]]]


class StaticFiles:
    """An ASGI application for the files under `root`, which exist when it is made."""

    def __init__(self, root: Path, prefix: str) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._files: dict[str, Any] = WhiteNoise(
            None, root=root, prefix=prefix, max_age=60, immutable_file_test=HASHED
        ).files

    async def __call__(
        self, scope: Any, receive: object, send: Callable[[Any], Awaitable[None]]
    ) -> None:
        file = self._files.get(scope["path"])
        if file is None:
            (status, headers), body = _not_found()
        else:
            # They are small: at most some hundred KiB.
            (status, headers), body = await asyncio.to_thread(_read, file, scope)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _read(file: Any, scope: Any) -> tuple[Head, bytes]:
    fields = {
        f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}": value.decode("latin-1")
        for name, value in scope["headers"]
    }
    response = file.get_response(scope["method"], fields)
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers
    ]
    head = int(response.status), headers
    if response.file is None:
        return head, b""
    with response.file as opened:
        return head, opened.read()


def _not_found() -> tuple[Head, bytes]:
    body = b"Not found\n"
    fields = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    return (HTTPStatus.NOT_FOUND, fields), body
