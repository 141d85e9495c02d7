"""Objects of any size that take neither memory nor disk: their bytes follow from their offset."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import AsyncIterator, Iterator
from email.utils import formatdate
from http import HTTPStatus
from urllib.parse import unquote

from aiohttp import web

from sandbox.relay import Relay
from sandbox.settings import KIB, MIB

BLOCK = MIB
_PART = 256 * KIB
_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")
LAST_MODIFIED = formatdate(1_700_000_000, usegmt=True)


class Generated:
    """One object. `name` is `bucket/key`: two names never have the same bytes."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.etag = f'"{hashlib.md5(f"{name} {size}".encode()).hexdigest()}"'
        seed = hashlib.shake_256(name.encode()).digest(BLOCK - 8)
        self._block = memoryview(struct.pack("!Q", 0) + seed)

    def read(self, first: int, last: int) -> Iterator[bytes]:
        """The bytes from `first` to `last`, both included, in parts of at most 256 KiB."""
        while first <= last:
            index, offset = divmod(first, BLOCK)
            count = min(_PART, BLOCK - offset, last - first + 1)
            part = bytes(self._block[offset : offset + count])
            if offset < 8:
                # Each block bears its number: no two have the same bytes.
                stamp = struct.pack("!Q", index)[offset : offset + count]
                part = stamp + part[len(stamp) :]
            yield part
            first += count

    def sha256(self, first: int = 0, last: int | None = None) -> str:
        """The digest of a slice, or of it all, in hex."""
        digest = hashlib.sha256()
        for part in self.read(first, self.size - 1 if last is None else last):
            digest.update(part)
        return digest.hexdigest()


class GeneratedObjects:
    """Serves GET and HEAD for them, as S3 does: ranges, conditions, a strong ETag."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self._objects = {name: Generated(name, size) for name, size in sizes.items()}

    def find(self, request: web.Request) -> Generated | None:
        if request.method not in {"GET", "HEAD"} or not self._objects:
            return None
        return self._objects.get(unquote(request.raw_path.partition("?")[0]).lstrip("/"))

    async def serve(self, request: web.Request, found: Generated) -> web.StreamResponse:
        headers = {
            "ETag": found.etag,
            "Last-Modified": LAST_MODIFIED,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        if status := _condition(request, found):
            return web.Response(status=status, headers={"ETag": found.etag})
        wanted = _range(request, found)
        if wanted is None:
            return web.Response(
                status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                headers={
                    "Content-Range": f"bytes */{found.size}",
                    "Content-Type": "application/xml",
                },
                text="<Error><Code>InvalidRange</Code></Error>",
            )
        first, last, partial = wanted
        headers["Content-Length"] = str(last - first + 1)
        if partial:
            headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
        status = HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK
        response = web.StreamResponse(status=status, headers=headers)
        await Relay(request, response).send(b"", _parts(found, first, last, request.method))
        return response


async def _parts(found: Generated, first: int, last: int, method: str) -> AsyncIterator[bytes]:
    if method == "GET":
        for part in found.read(first, last):
            yield part


def _condition(request: web.Request, found: Generated) -> HTTPStatus | None:
    if_match = request.headers.get("If-Match", "*")
    if if_match != "*" and found.etag.strip('"') not in _tags(if_match):
        return HTTPStatus.PRECONDITION_FAILED
    none_match = request.headers.get("If-None-Match", "")
    if none_match == "*" or found.etag.strip('"') in _tags(none_match):
        return HTTPStatus.NOT_MODIFIED
    return None


def _tags(text: str) -> list[str]:
    return [tag.strip().strip('"') for tag in text.split(",")]


def _range(request: web.Request, found: Generated) -> tuple[int, int, bool] | None:
    """First, last and whether that is a part; None where the range is beyond the object."""
    whole = (0, found.size - 1, False)
    match = _RANGE.match(request.headers.get("Range", ""))
    stale = request.headers.get("If-Range", found.etag) not in {found.etag, LAST_MODIFIED}
    if match is None or stale or match.group(0) == "bytes=-":
        return whole
    if not match[1]:
        first, last = max(0, found.size - int(match[2])), found.size - 1
    else:
        first, last = int(match[1]), min(int(match[2] or found.size), found.size - 1)
        if match[2] and int(match[2]) < first:
            return whole
    return (first, last, True) if first <= last else None
