"""How often somebody may be wrong. All processes count in one cache, with allauth's own counter."""

import time

from allauth.core.internal import ratelimit
from django.core.cache import cache
from django.http import HttpRequest

# Wrong secrets for one token, or tokens that there are not, from one address.
TOKENS = "20/5m/ip"


class TooManyGuessesError(Exception):
    """Wrong too often."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"wrong too often, for {seconds:.0f} seconds")
        self.seconds = max(1, round(seconds))


def refuse_guessing(request: HttpRequest, key: str) -> None:
    """Raises `TooManyGuessesError` where this address was wrong too often about that token."""
    (rate,) = ratelimit.parse_rates(TOKENS)
    if left := seconds_left(request, app="streams", action=f"token.{key}", rate=rate):
        raise TooManyGuessesError(left)


def count_guess(request: HttpRequest, key: str) -> None:
    """One more wrong token, with the public part `key`."""
    action = f"token.{key}"
    ratelimit.consume(
        request, app="streams", action=action, config={action: TOKENS}, limit_get=True
    )


def seconds_left(
    request: HttpRequest, *, app: str, action: str, rate: ratelimit.Rate, key: str | None = None
) -> float:
    """Until this rate lets another one through; 0 where it does so now. One read, no lock."""
    name = ratelimit.get_cache_key(request, app=app, action=action, rate=rate, key=key)
    # Newest first.
    history: list[float] = cache.get(name) or []
    if len(history) < rate.amount:
        return 0.0
    left: float = history[rate.amount - 1] + rate.duration - time.time()
    return max(0.0, left)
