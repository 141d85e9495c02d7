"""What S3 refuses besides by policies: a bucket of another region, an object whose key is no use.

The emulator has each bucket in every region, and notes the key of an object without using it.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import unquote

from aiohttp import web

from sandbox.emulator import Emulator, Scope
from sandbox.keys import Keys

_LOCATION = re.compile(rb"<LocationConstraint[^>]*>([^<]+)<")
# What S3 calls the region of a bucket that names none.
_FIRST = "us-east-1"
_ENCRYPTION = "x-amz-server-side-encryption"


class Buckets:
    """Looks at requests of S3 before the emulator serves them."""

    def __init__(self, emulator: Emulator, keys: Keys) -> None:
        self._emulator = emulator
        self._keys = keys

    async def refusal(self, request: web.Request, scope: Scope, caller: str) -> web.Response | None:
        """S3's answer where the request must not pass. `caller` is its access key."""
        bucket, _, key = request.raw_path.partition("?")[0].lstrip("/").partition("/")
        if not bucket or (request.method == "PUT" and not key):
            return None
        region = await self._region(bucket, scope)
        if region and region != scope.region:
            return _error(
                request, HTTPStatus.MOVED_PERMANENTLY, "PermanentRedirect",
                {"x-amz-bucket-region": region},
            )  # fmt: skip
        if request.method not in {"GET", "HEAD"} or not key:
            return None
        return await self._sealed(request, scope, caller)

    async def _region(self, bucket: str, scope: Scope) -> str:
        """Empty where there is no such bucket."""
        answer = await self._emulator.call("GET", f"/{bucket}?location", scope=scope, service="s3")
        if not answer.ok:
            return ""
        found = _LOCATION.search(answer.body)
        return found[1].decode() if found else _FIRST

    async def _sealed(self, request: web.Request, scope: Scope, caller: str) -> web.Response | None:
        path = request.raw_path.partition("?")[0]
        async with self._emulator.http.head(
            self._emulator.url + unquote(path), headers={"Authorization": scope.authorization("s3")}
        ) as held:
            key = held.headers.get(f"{_ENCRYPTION}-aws-kms-key-id", "")
        # Without its checksum, the head of an object is not encrypted.
        opens = request.method == "GET" or "x-amz-checksum-mode" in request.headers
        if not key or not opens:
            return None
        if await self._keys.is_disabled(scope, key):
            return _error(request, HTTPStatus.BAD_REQUEST, "KMS.DisabledException")
        if await self._keys.may_decrypt(scope, caller, key):
            return None
        return _error(request, HTTPStatus.FORBIDDEN, "AccessDenied")


def _error(
    request: web.Request, status: HTTPStatus, code: str, headers: dict[str, str] | None = None
) -> web.Response:
    body = "" if request.method == "HEAD" else f"<Error><Code>{code}</Code></Error>"
    return web.Response(status=status, text=body, content_type="application/xml", headers=headers)
