"""The portal, asked through its own address: what stands in front shows in how a file comes.

The file is the portal's own, comes in two halves with a pause between, and is there for those alone
who can sign with the portal's key: nobody else can have a connection held by it.
"""

import asyncio
import json
import secrets
import time
import zlib
from ipaddress import ip_network

from django.conf import settings
from django.core import signing
from django.urls import reverse

from streams.doctor.facts import Front, Unread
from streams.models import Installation
from streams.net.addresses import AddressPolicy
from streams.net.client import Client, Incoming
from streams.net.errors import BodyError, OriginError
from streams.wire.ranges import ByteRange

# Seconds between the halves.
PAUSE = 1.0
ETAG = '"spillway-front"'
# Several machines may serve, and not all of them in the same way.
TIMES = 3
# Seconds for all answers, and for which a signature is good.
PATIENCE = 10.0
FRESH = 60
# Somebody else may answer, with as much as they like.
_MOST = 64 << 10
_PART = ByteRange(2, 5)
_SALT = "streams.doctor.front"
# The address is the operator's own, wherever it is.
_ANYWHERE = AddressPolicy((ip_network("0.0.0.0/0"), ip_network("::/0")))


def is_signed(token: str) -> bool:
    """Whether a process with this portal's key has made it, a moment ago."""
    try:
        signing.loads(token, salt=_SALT, max_age=FRESH)
    except signing.BadSignature:
        return False
    return True


def content(address: str) -> bytes:
    """The file: which portal answers, and by which address (`https://host`) it was asked."""
    return json.dumps({"installation": identity(), "address": address}).encode()


def identity() -> str:
    """That of the database which this process works with."""
    return str(Installation.objects.here().identity)


def ask() -> tuple[Front, ...] | Unread:
    """How the file came, each of some times."""
    if not settings.BASE_URL:
        return Unread("SPILLWAY_BASE_URL is not set.")
    try:
        return tuple(asyncio.run(_ask_all()))
    except TimeoutError:
        return Unread("SPILLWAY_BASE_URL did not answer in time, asked from here.")
    except (OriginError, BodyError) as exc:
        return Unread(f"SPILLWAY_BASE_URL could not be asked from here ({exc.code}).")


async def _ask_all() -> list[Front]:
    client = Client(_ANYWHERE, head_timeout=PATIENCE)
    try:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.gather(*(_ask(client) for _ in range(TIMES)))
    finally:
        await client.close()


async def _ask(client: Client) -> Front:
    token = signing.dumps(secrets.token_hex(8), salt=_SALT)
    url = settings.BASE_URL + reverse("front", args=[token])
    # As a browser does.
    answer = await client.request("GET", url, {"Accept-Encoding": "gzip"})
    body, waited = await _read(answer)
    coding = answer.headers.get("content-encoding", "")
    told = _told(body, coding)
    part = await client.request("GET", url, {"Range": f"bytes={_PART.first}-{_PART.last}"})
    piece, _ = await _read(part)
    return Front(
        status=answer.status,
        loops=answer.headers.get("location") == url,
        installation=told.get("installation", ""),
        address=told.get("address", ""),
        waited=waited,
        coding=coding,
        etag=answer.headers.get("etag", ""),
        length=answer.length,
        part=part.status == 206 and len(piece) == _PART.length,
    )


async def _read(answer: Incoming) -> tuple[bytes, float]:
    """The body, and the seconds from its first byte to its end."""
    held, began = b"", time.monotonic()
    while len(held) < _MOST and (chunk := await answer.body.read()):
        if not held:
            began = time.monotonic()
        held += chunk
    answer.body.abort()
    return held, time.monotonic() - began


def _told(body: bytes, coding: str) -> dict[str, str]:
    """What the file says; empty where something else came."""
    try:
        if coding == "gzip":
            body = zlib.decompressobj(wbits=31).decompress(body, _MOST)
        told = json.loads(body)
    except (ValueError, zlib.error):
        return {}
    return {name: str(held) for name, held in told.items()} if isinstance(told, dict) else {}
