"""How a run reads AWS: within its time, and once more where a fault may pass."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeVar

from streams.access.addresses import address_policy
from streams.aws.account import Account
from streams.aws.failures import ControlError, MissingError, UnavailableError
from streams.doctor.facts import LATE, Unread
from streams.rotation.probing import Verdict, asker, status_of

T = TypeVar("T")

# Seconds until AWS is asked once more, and at most where it says how long.
AGAIN = 0.5
PATIENCE = 5.0
_OPENED = {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}


@dataclass
class Reader:
    """Reads for one run, which ends at `deadline` (`time.monotonic`).

    `hindrances` say by part of a subject why nothing of it can be read.
    """

    account: Account
    deadline: float
    hindrances: dict[str, Unread] = field(default_factory=dict)

    def read(self, call: Callable[[], T], parts: frozenset[str] = frozenset()) -> T | Unread:
        """What AWS says; it is asked once more where the fault may pass.

        It is not asked at all where one of `parts` hinders that.
        """
        if hindrance := self.hindrance(parts):
            return hindrance
        for last in (False, True):
            try:
                return call()
            except ControlError as exc:
                if last or not exc.passing or self._is_late():
                    return Unread(str(exc), missing=isinstance(exc, MissingError))
                time.sleep(min(exc.retry_after or AGAIN, PATIENCE))
        raise AssertionError("unreachable")

    def timely(self, ask: Callable[[], T]) -> T | Unread:
        """The answer, where there is time to ask."""
        return LATE if self._is_late() else ask()

    def asked(self, url: str) -> Verdict | Unread:
        """What becomes of a request that presents nothing."""
        return self.timely(lambda: asker(address_policy())(url, {}))

    def opens(self, url: str) -> bool | Unread:
        """Whether a request that presents nothing is given bytes."""
        status = self.timely(lambda: asyncio.run(status_of(address_policy(), url, {})))
        if status is None:
            return Unread("No answer came that would tell.")
        return status if isinstance(status, Unread) else status in _OPENED

    def hindrance(self, parts: frozenset[str]) -> Unread | None:
        """Why nothing can be read of what has or needs these parts."""
        return next(
            (self.hindrances[part] for part in sorted(parts) if part in self.hindrances), None
        )

    def guard(self) -> None:
        """Called before each call of AWS."""
        if self._is_late():
            raise UnavailableError(aws_code="TimeIsUp")

    def _is_late(self) -> bool:
        return time.monotonic() > self.deadline
