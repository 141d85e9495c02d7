"""One run at a time, over all processes. A run that was killed keeps its turn for a while only."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import F
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from streams.models import ProvisioningTurn
from streams.provisioning.problems import BusyError, LostTurnError

# Seconds between two looks at the turn of another run.
LOOK = 0.5


@dataclass(frozen=True)
class Turn:
    """This run's hold. It is to be renewed before each call of AWS."""

    token: int

    def renew(self) -> None:
        """Raises `LostTurnError`."""
        if not self._update(lease_until=_until()):
            raise LostTurnError("Another run provisions now: this one has stopped too long.")

    def release(self) -> None:
        self._update(lease_until=None)

    def _update(self, **values: object) -> int:
        return ProvisioningTurn.objects.filter(token=self.token).update(**values)


@contextmanager
def taken(function: str, say: Callable[[str], None]) -> Iterator[Turn]:
    """Waits for the turn of a run that was killed. Raises `BusyError` where one is alive."""
    turn = _claim(function) or _inherited(function, say)
    try:
        yield turn
    finally:
        turn.release()


def _inherited(function: str, say: Callable[[str], None]) -> Turn:
    """The turn of a run that shows no sign of life until its lease has ended."""
    held = ProvisioningTurn.objects.get()
    say(f"Another run was here for {held.function}. Waiting whether it is still alive.")
    while (now := ProvisioningTurn.objects.get()).lease_until == held.lease_until:
        time.sleep(LOOK)
        if turn := _claim(function):
            return turn
    turn = _claim(function) if now.lease_until is None else None
    if turn is None:
        raise BusyError(
            f"Another run provisions {now.function} just now. Run it again when that has ended."
        )
    return turn


def _claim(function: str) -> Turn | None:
    row, _ = ProvisioningTurn.objects.get_or_create(pk=1)
    free = ProvisioningTurn.objects.free().filter(token=row.token)
    values = {"function": function[:200], "lease_until": _until(), "token": F("token") + 1}
    return Turn(row.token + 1) if free.update(**values) else None


def _until() -> CombinedExpression:
    return Now() + timedelta(seconds=settings.ROTATION_LEASE)
