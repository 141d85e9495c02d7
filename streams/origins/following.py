"""A function that answers with the place of an object ("upload and return the key").

Its answer is small; the object is read from S3, and found again there when a download resumes.
"""

import asyncio
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from streams.net import errors
from streams.net.client import Client
from streams.origins.base import Body, Credential, Opened, Origin, Target, Wanted
from streams.origins.http import HttpOrigin
from streams.origins.s3 import S3Origin, is_amazon
from streams.wire.checksums import Checksum

# What a function says about an object, at most, and how long it may take to say it.
LONGEST = 64 * 1024
_S3_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.{1,1024})")


@dataclass
class FollowingOrigin:
    """Asks `function` where the object is, once, and reads it from there."""

    client: Client
    function: Origin
    # How the portal itself reads S3: region, role and account.
    s3: S3Origin
    seconds: float
    _place: Origin | None = field(default=None, init=False)
    _version: str = field(default="", init=False)

    async def open(self, wanted: Wanted, credential: Credential | None) -> Opened:
        if self._place is None:
            self._place = await self._ask(wanted.query, credential)
        version = wanted.version or self._version
        place = replace(wanted, query="", version=version)
        try:
            return await self._place.open(place, None)
        except errors.ForbiddenError:
            if isinstance(self._place, S3Origin):
                raise
            # A presigned URL that has expired since; the object is still pinned by its tag.
            self._place = await self._ask(wanted.query, credential)
            return await self._place.open(place, None)

    async def checksum(self, opened: Opened) -> Checksum | None:
        return await self._place.checksum(opened) if self._place else opened.checksum

    async def _ask(self, query: str, credential: Credential | None) -> Origin:
        answer = await self.function.open(Wanted(query=query), credential)
        try:
            async with asyncio.timeout(self.seconds):
                text = await _text(answer.body)
        except TimeoutError as exc:
            raise errors.OriginTimeoutError from exc
        except errors.BodyError as exc:
            raise errors.BrokenError from exc
        finally:
            answer.body.abort()
        return await self._named(text)

    async def _named(self, text: bytes) -> Origin:
        said = _parsed(text)
        bucket, key = said.get("bucket"), said.get("key")
        if isinstance(bucket, str) and isinstance(key, str) and key:
            return self._object(f"s3://{bucket}/{key}", str(said.get("version_id") or ""))
        url = said.get("url")
        if isinstance(url, str) and url.startswith("s3://"):
            return self._object(url)
        if isinstance(url, str):
            await self._check_presigned(url)
            return _Presigned(self.client, self.s3.account, Target(kind="s3", url=url))
        raise errors.FollowError

    def _object(self, uri: str, version: str = "") -> Origin:
        match = _S3_URI.fullmatch(uri)
        if match is None:
            raise errors.FollowError
        own = self.s3.target.bucket
        if own and match[1] != own:
            # The portal may read more than this function was meant to offer.
            raise errors.FollowError("The function's answer names another bucket than this export.")
        self._version = version
        return replace(self.s3, target=replace(self.s3.target, bucket=match[1], key=match[2]))

    async def _check_presigned(self, url: str) -> None:
        """A function may be made to answer anything: only S3 itself is followed."""
        target = self.s3.target
        own = await self.s3.account.endpoint("s3", region=target.region, role_arn=target.role_arn)
        try:
            there, here = urlsplit(url), urlsplit(own)
            same = (there.scheme, there.netloc) == (here.scheme, here.netloc)
            host = there.hostname or ""
        except ValueError:
            raise errors.FollowError from None
        amazon = there.scheme == "https" and is_amazon(host) and _is_s3(host)
        if not (same or amazon):
            raise errors.FollowError("The function's answer leads elsewhere than to S3.")


@dataclass(frozen=True)
class _Presigned(HttpOrigin):
    """A URL that bears its own signature: its query is part of that, and stays as it is."""

    async def open(self, wanted: Wanted, credential: Credential | None) -> Opened:
        return await self.open_url(self.target.url, wanted, None)


def _is_s3(host: str) -> bool:
    return any(re.fullmatch(r"s3([.-].*)?", label) for label in host.split("."))


async def _text(body: Body) -> bytes:
    held = b""
    while chunk := await body.read():
        held += chunk
        if len(held) > LONGEST:
            raise errors.FollowError("The function's answer is a file and not the name of one.")
    return held


def _parsed(text: bytes) -> dict[str, Any]:
    """JSON, or the bare URL."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = text.decode("ascii", "replace").strip()
    if isinstance(said, str):
        return {"url": said}
    return said if isinstance(said, dict) else {}
