"""Opens one export as a download does, and reads no more than its beginning."""

import asyncio
from collections.abc import Sequence

from streams.access.addresses import address_policy
from streams.aws.account import Account
from streams.delivery.downloads import credentials_of, target_of
from streams.doctor import sampling
from streams.doctor.facts import Sample
from streams.models import Endpoint
from streams.net import errors
from streams.net.client import Client
from streams.origins import Credential, Origin, Wanted, build


def tried(endpoint: Endpoint, account: Account) -> Sample:
    """How its file begins to come. Raises `OriginError`, or `UndecryptableError`."""
    credentials = credentials_of(endpoint)
    return asyncio.run(_tried(endpoint, credentials, account))


async def _tried(endpoint: Endpoint, credentials: Sequence[Credential], account: Account) -> Sample:
    client = Client(address_policy(), head_timeout=sampling.PATIENCE)
    try:
        origin = build(client, account, target_of(endpoint))
        try:
            return await _sample(origin, credentials[0] if credentials else None)
        except errors.ForbiddenError:
            # During a rotation the function may know another one of the values.
            if len(credentials) < 2:
                raise
            return await _sample(origin, credentials[1])
    finally:
        await client.close()


async def _sample(origin: Origin, credential: Credential | None) -> Sample:
    try:
        found = await sampling.beginning(origin, Wanted(), credential, sampled=True)
    except errors.BodyError as exc:
        raise errors.BrokenError from exc
    except TimeoutError as exc:
        raise errors.OriginTimeoutError from exc
    if found.sample is None:
        raise errors.BrokenError
    return found.sample
