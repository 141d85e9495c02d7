"""Asks a function, or a gateway before it, whether it takes a value."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from http import HTTPStatus

from streams.net.addresses import AddressPolicy
from streams.net.client import Client, trust
from streams.net.errors import OriginError

# One request may meet a new environment and the next one an old one.
TIMES = 5
# Seconds; a cold start is among them.
_PATIENCE = 20.0
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class Verdict(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    # Busy, broken or not reached: ask again later.
    UNSURE = "unsure"


# Verdict on a request to an address with these fields.
Ask = Callable[[str, dict[str, str]], Verdict]


@dataclass(frozen=True)
class Probe:
    """Where a value is presented, and how. Through a gateway nothing is presented: it does that.

    `whom` is what sentences call it.
    """

    ask: Ask
    url: str
    header: str = ""
    whom: str = "The function"

    def all_say(self, verdict: Verdict, value: str = "") -> bool:
        """Whether `TIMES` requests in a row were answered so."""
        return all(self.verdict(value) == verdict for _ in range(TIMES))

    def verdict(self, value: str = "") -> Verdict:
        return self.ask(self.url, {self.header: value} if self.header else {})


def nonsense() -> str:
    """A value that nobody can know."""
    return secrets.token_urlsafe(32)


def asker(policy: AddressPolicy) -> Ask:
    """Asks over the network, with the same guard as downloads."""

    def ask(url: str, fields: dict[str, str]) -> Verdict:
        return verdict_on(asyncio.run(status_of(policy, url, fields)))

    return ask


# A rotation asks some forty times, each time in an event loop of its own.
_trusted = cache(trust)


def verdict_on(status: int | None) -> Verdict:
    """What an answer's status says; None where there was none."""
    if status in _REFUSED:
        return Verdict.REFUSED
    if status is None or status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
        return Verdict.UNSURE
    return Verdict.ACCEPTED


async def status_of(policy: AddressPolicy, url: str, fields: dict[str, str]) -> int | None:
    """The status of an answer to a GET with these fields; None where none comes."""
    client = Client(policy, head_timeout=_PATIENCE, context=_trusted())
    try:
        answer = await client.request("GET", url, {"Range": "bytes=0-0", **fields})
        answer.body.abort()
    except OriginError:
        return None
    finally:
        await client.close()
    return answer.status
