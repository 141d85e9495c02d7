"""How a change spreads: for a while the old and the new value serve side by side."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class _Serving(Generic[T]):
    value: T
    until: float | None = None


class Propagating(Generic[T]):
    """One value that changes now and then, as the many hosts behind it see it."""

    def __init__(self, value: T, *, seconds: float) -> None:
        self._seconds = seconds
        self._serving = [_Serving(value)]

    def change(self, value: T) -> None:
        """From now on `value`; what served until now goes on for the set time."""
        newest = self._serving[-1]
        if newest.value == value:
            return
        newest.until = time.monotonic() + self._seconds
        self._serving.append(_Serving(value))

    def live(self) -> list[T]:
        """All values that a request may meet now, the newest last."""
        now = time.monotonic()
        self._serving = [s for s in self._serving if s.until is None or s.until > now]
        return [s.value for s in self._serving]

    def pick(self) -> T:
        """The value that one request meets."""
        return secrets.choice(self.live())
