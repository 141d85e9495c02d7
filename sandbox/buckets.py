"""What S3 refuses besides by policies: a signature for another region, a key that is of no use.

The emulator redirects whatever is signed for another region than the bucket's, as S3's endpoint for
all regions does, and notes the key of an object without using it.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import unquote

from aiohttp import web

from sandbox.emulator import Emulator, Scope
from sandbox.keys import Keys
from sandbox.settings import Settings

_ENCRYPTION = "x-amz-server-side-encryption"


class Buckets:
    """Looks at requests of S3 before the emulator serves them."""

    def __init__(self, settings: Settings, emulator: Emulator, keys: Keys) -> None:
        self._settings = settings
        self._emulator = emulator
        self._keys = keys

    async def refusal(self, request: web.Request, scope: Scope, caller: str) -> web.Response | None:
        """S3's answer where the request must not pass. `caller` is its access key."""
        ours = self._settings.s3_region
        if ours and scope.region != ours:
            return _signed_for_another(request, scope.region, ours)
        _, _, key = request.raw_path.partition("?")[0].lstrip("/").partition("/")
        if not self._settings.strict_access or request.method not in {"GET", "HEAD"} or not key:
            return None
        return await self._sealed(request, scope, caller)

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


def _signed_for_another(request: web.Request, region: str, ours: str) -> web.Response:
    """It tells which one it wants in the body alone, and so nothing to a HEAD."""
    text = f"the region '{region}' is wrong; expecting '{ours}'"
    return _error(
        request, HTTPStatus.BAD_REQUEST, "AuthorizationHeaderMalformed",
        f"<Message>The authorization header is malformed; {text}</Message><Region>{ours}</Region>",
    )  # fmt: skip


def _error(request: web.Request, status: HTTPStatus, code: str, more: str = "") -> web.Response:
    body = "" if request.method == "HEAD" else f"<Error><Code>{code}</Code>{more}</Error>"
    return web.Response(status=status, text=body, content_type="application/xml")
