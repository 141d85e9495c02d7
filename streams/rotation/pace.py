"""AWS's rate limits for its control plane, kept by all workers together.

API Gateway takes 10 calls a second for each account and region, and one CreateDeployment in five
seconds; Lambda 15 calls a second; Secrets Manager 50 of those that change something.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now

from streams.aws.failures import PacedError
from streams.models import CallBucket


@dataclass(frozen=True)
class Rate:
    """`per_second` calls on average, `burst` at once."""

    per_second: float
    burst: float


LAMBDA = Rate(15, 15)
GATEWAY = Rate(10, 10)
DEPLOYMENT = Rate(0.2, 1)
SECRETS = Rate(40, 40)
# Seconds that a call waits for its turn, at most; later ones come with another tick.
PATIENCE = 10.0
# Seconds that AWS's word is taken for, at most.
LONGEST_REST = 300.0


def take(key: str, rate: Rate) -> None:
    """Waits for a call's turn. Raises `PacedError` where that would take too long."""
    deadline = time.monotonic() + PATIENCE
    while wait := _missing(key, rate):
        if time.monotonic() + wait > deadline:
            raise PacedError(retry_after=wait)
        time.sleep(wait)


def rest(key: str, rate: Rate, seconds: float) -> None:
    """Nobody's call has its turn for so long: AWS has asked that of one of them."""
    with _locked(key, rate) as (tokens, put):
        put(min(tokens, 1 - min(seconds, LONGEST_REST) * rate.per_second))


def _missing(key: str, rate: Rate) -> float:
    """Seconds until there is a token; 0 where there was one, which is taken."""
    with _locked(key, rate) as (tokens, put):
        if tokens < 1:
            return (1 - tokens) / rate.per_second
        put(tokens - 1)
        return 0.0


@contextmanager
def _locked(key: str, rate: Rate) -> Iterator[tuple[float, Callable[[float], None]]]:
    """How many tokens there are, and what puts another number there, while nobody else can."""
    with transaction.atomic():
        CallBucket.objects.get_or_create(key=key, defaults={"tokens": rate.burst})
        bucket = CallBucket.objects.select_for_update().annotate(now=Now()).get(key=key)
        now: datetime = bucket.now
        passed = max(0.0, (now - bucket.filled_at).total_seconds())

        def put(tokens: float) -> None:
            CallBucket.objects.filter(key=key).update(tokens=tokens, filled_at=now)

        yield min(rate.burst, bucket.tokens + passed * rate.per_second), put
