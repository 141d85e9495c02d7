"""Notices by webhook, signed as the Standard Webhooks specification says."""

import asyncio
import base64
import hmac
import time
from collections.abc import Mapping
from http import HTTPStatus

from streams.access.addresses import address_policy
from streams.models import Notice
from streams.net.client import Client, Incoming
from streams.net.errors import OriginError
from streams.notices.problems import DeliveryError, GoneError
from streams.notices.wording import as_json
from streams.origins.http import retry_after

# Seconds from connecting to the head of the answer; less than the lease of `notices.lease`.
PATIENCE = 20.0
USER_AGENT = "Spillway-Webhook/1"


def send(notice: Notice) -> str:
    """Posts one notice; nothing to remark where the receiver took it.

    Raises `DeliveryError`, and `GoneError` where it wants nothing any more.
    """
    body = as_json(notice)
    signed = signature(notice.channel.key, str(notice.pk), int(time.time()), body)
    try:
        status, wanted = asyncio.run(_posted(notice.channel.destination, signed, body))
    except OriginError as exc:
        raise DeliveryError(str(exc).replace("The source", "The receiver")) from exc
    if 200 <= status < 300:
        return ""
    if status == HTTPStatus.GONE:
        raise GoneError("The receiver answered 410 Gone: the channel was switched off.")
    if 300 <= status < 400:
        raise DeliveryError(
            f"The receiver answered with status {status}. Redirects are not followed: enter the "
            "address that it leads to."
        )
    raise DeliveryError(
        f"The receiver answered with status {status}.", retry_after=retry_after(wanted)
    )


def signature(key: str, ident: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The header fields that prove where a body comes from. `timestamp` is in Unix seconds."""
    secret = base64.b64decode(key.removeprefix("whsec_"))
    signed = f"{ident}.{timestamp}.".encode() + body
    digest = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {
        "webhook-id": ident,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{digest}",
    }


async def _posted(url: str, signed: Mapping[str, str], body: bytes) -> tuple[int, str | None]:
    """The status and `Retry-After`. Of the answer's body nothing is read."""
    client = Client(address_policy(), head_timeout=PATIENCE)
    fields = {"Content-Type": "application/json", "User-Agent": USER_AGENT, **signed}
    try:
        answer: Incoming = await client.request("POST", url, fields, body)
        answer.body.abort()
    finally:
        await client.close()
    return answer.status, answer.headers.get("retry-after")
