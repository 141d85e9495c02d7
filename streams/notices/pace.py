"""When a notice is tried again: soon at first, then less and less often, for about a day."""

import random

# Seconds: after the first failure, and at most.
FIRST = 30.0
LONGEST = 3 * 3600.0
FACTOR = 3.0
ATTEMPTS = 14


def pause(attempts: int, told: float | None = None) -> float | None:
    """Seconds until the next attempt after so many; None where there is none.

    `told` is what the receiver wants at least. The jitter keeps those that failed together from
    coming back together.
    """
    if attempts >= ATTEMPTS:
        return None
    seconds = min(LONGEST, FIRST * FACTOR ** (attempts - 1))
    jittered = seconds * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret
    return max(jittered, told or 0.0)
