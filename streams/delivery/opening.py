"""Opens an origin for one download, with the second attempts that `wire.md` allows.

Until the first byte of a body was sent, nothing was promised, so an attempt may be repeated. Each
reason is good for one repetition, whatever else happens.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import replace

from streams.delivery.source import Source
from streams.delivery.watching import Watch
from streams.net import errors
from streams.origins import Credential, Opened, Origin, Reread, Wanted

# A wait that a user does not mind; a longer one is theirs to decide on.
PATIENCE = 2.0
# Seconds to wait where the origin does not say how long.
UNTOLD = 1.0


async def opened_source(
    origin: Origin,
    wanted: Wanted,
    credentials: Sequence[Credential],
    *,
    watch: Watch,
    first_byte_timeout: float,
    or_whole: bool = True,
    reread: Reread | None = None,
) -> tuple[Source, bytes]:
    """An origin that has begun to send, and its first bytes (empty for an empty file).

    `credentials` are the values that the function may accept now, the likeliest first; empty for an
    origin that takes none. `first_byte_timeout` is in seconds. With `or_whole`, a range that came
    of another version than `wanted.if_range` is dropped, and everything asked for. A refusal that
    may be a rotation's doing is held for as long as its credential says, and `reread` asks which
    values there are by then. `watch` is told of each attempt. Raises `OriginError`.
    """
    attempts = _Attempts(wanted, credentials, or_whole=or_whole, reread=reread)
    while True:
        try:
            with watch.asking(attempts.wanted) as span:
                opened = await origin.open(attempts.wanted, attempts.credential)
                source = Source(opened, span)
                if attempts.drops_range(opened):
                    source.abort()
                    continue
                if wanted.head_only:
                    source.abort()
                    return source, b""
                return source, await _first(source, first_byte_timeout)
        except errors.OriginError as exc:
            await attempts.prepare_after(exc)


async def _first(source: Source, seconds: float) -> bytes:
    try:
        return await source.first(seconds)
    except BaseException:
        source.abort()
        raise


# Refused by AWS, where another value of a secret would change nothing.
_NOT_THE_SECRET = (
    errors.UrlUnknownError,
    errors.UrlPermissionError,
    errors.AwsDeniedError,
    errors.GatewayRefusedError,
)


def _is_soon(seconds: int | None) -> bool:
    return seconds is None or seconds <= PATIENCE


class _Attempts:
    """What the next attempt sends, and which reasons for one are used up."""

    def __init__(
        self,
        wanted: Wanted,
        credentials: Sequence[Credential],
        *,
        or_whole: bool,
        reread: Reread | None,
    ) -> None:
        self.wanted = wanted
        self._or_whole = or_whole
        self._reread = reread
        self.credential: Credential | None = None
        self._take(credentials)
        hold = max((credential.hold for credential in credentials), default=0.0)
        self._held_until = time.monotonic() + hold
        self._may_repeat = True
        self._may_wait = True

    def _take(self, credentials: Sequence[Credential]) -> None:
        """The likeliest value comes first, and one more."""
        self.credential, self._other = (*credentials, None, None)[:2]

    def drops_range(self, opened: Opened) -> bool:
        """Whether a part came of another version than `If-Range` named.

        The origin ignored the condition. The client then gets everything, as RFC 9110 section
        13.1.5 has it.
        """
        if not self._or_whole or opened.range is None or not self.wanted.if_range:
            return False
        if opened.etag == self.wanted.if_range:
            return False
        self.wanted = replace(self.wanted, range=None, if_range=None)
        return True

    async def prepare_after(self, exc: errors.OriginError) -> None:
        """Makes ready for another attempt, or raises `exc`."""
        if isinstance(exc, _NOT_THE_SECRET):
            raise exc
        if isinstance(exc, errors.ReplacedError) and self._or_whole and self.wanted.range:
            self.wanted = replace(self.wanted, range=None, if_range=None)
            return
        if isinstance(exc, errors.ForbiddenError) and self._other is not None:
            # A rotation is under way: the function may not know the newest value yet, or no longer
            # know the one before.
            self.credential, self._other = self._other, None
        elif isinstance(exc, errors.ForbiddenError) and time.monotonic() < self._held_until:
            # The function knows one value at a time, and is between the two.
            await asyncio.sleep(random.uniform(0.1, 0.4))  # noqa: S311 - jitter, not a secret
            if self._reread is not None:
                self._take(await self._reread())
        elif isinstance(exc, errors.BusyError) and self._may_wait and _is_soon(exc.retry_after):
            self._may_wait = False
            await asyncio.sleep(exc.retry_after or UNTOLD)
        elif exc.passing and self._may_repeat:
            self._may_repeat = False
            await asyncio.sleep(random.uniform(0.05, 0.25))  # noqa: S311 - jitter, not a secret
        else:
            raise exc
