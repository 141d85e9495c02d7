"""Asks an origin as a download would, and as those would who must be refused."""

import asyncio
from collections.abc import Mapping
from functools import cache

from streams.access.addresses import address_policy
from streams.aws.account import Account
from streams.delivery.downloads import credentials_of, target_of
from streams.doctor.checks.endpoints import EMPTY, WITHOUT, WRONG
from streams.doctor.facts import Answer
from streams.models import Endpoint
from streams.net import errors
from streams.net.client import Client, trust
from streams.origins import Credential, Target, Wanted, build
from streams.rotation.probing import Verdict, nonsense
from streams.wire.ranges import Asked

# Seconds for one answer; a cold start is among them.
PATIENCE = 20.0
_FIRST_BYTE = Asked(0, 0)
# Each endpoint is asked several times, each time in an event loop of its own.
_trusted = cache(trust)
_PASSING = (
    errors.BusyError,
    errors.BusyServerError,
    errors.FunctionError,
    errors.OriginTimeoutError,
)


def right(endpoint: Endpoint, account: Account) -> Answer:
    """What a download would meet. Raises `UndecryptableError`."""
    target, credential = target_of(endpoint), next(iter(credentials_of(endpoint)), None)
    answer = asyncio.run(_answer(account, target, credential))
    # As a download does: what is gone a moment later is no fault.
    return asyncio.run(_answer(account, target, credential)) if answer.passing else answer


def wrong(endpoint: Endpoint, account: Account) -> Mapping[str, Verdict]:
    """What becomes of those who do not know the secret."""
    assert endpoint.secret is not None
    header = endpoint.secret.header
    presented = {
        WITHOUT: None,
        EMPTY: Credential(header, ""),
        WRONG: Credential(header, nonsense()),
    }
    target = target_of(endpoint)
    # One after the other: asked at once, a function starts an environment for each of them.
    return {
        how: _verdict(asyncio.run(_answer(account, target, credential)))
        for how, credential in presented.items()
    }


async def _answer(account: Account, target: Target, credential: Credential | None) -> Answer:
    client = Client(address_policy(), head_timeout=PATIENCE, context=_trusted())
    try:
        origin = build(client, account, target)
        async with asyncio.timeout(PATIENCE):
            opened = await origin.open(Wanted(range=_FIRST_BYTE), credential)
        opened.body.abort()
    except errors.OriginError as exc:
        return _answer_of(exc)
    except TimeoutError:
        return _answer_of(errors.OriginTimeoutError())
    finally:
        await client.close()
    return Answer(part=opened.range is not None, etag=opened.etag, size=opened.total)


def _answer_of(exc: errors.OriginError) -> Answer:
    return Answer(exc.code, str(exc), exc.hint, isinstance(exc, _PASSING))


def _verdict(answer: Answer) -> Verdict:
    """Accepted is only who got bytes: an error may be its own way to refuse, or a fault."""
    if answer.code == errors.ForbiddenError.code:
        return Verdict.REFUSED
    # 416: the one byte that was asked for is not there, in an empty file.
    return Verdict.ACCEPTED if answer.code in {"", errors.RangeError.code} else Verdict.UNSURE
