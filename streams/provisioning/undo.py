"""How to take back what a run has done."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import DatabaseError

from streams.aws.failures import ControlError
from streams.provisioning.problems import LostTurnError, ProvisioningError
from streams.rotation.problems import RotationError

# Attempts at each, where AWS refuses for a while.
TRIES = 4


@dataclass(frozen=True)
class _Step:
    sentence: str
    act: Callable[[], None]
    # Not before everything else is taken back.
    last: bool


@dataclass
class Undo:
    """Noted before each change is made: the answer to it may be lost.

    So each step finds out by itself whether there is something to take back.
    """

    _steps: list[_Step] = field(default_factory=list)

    def add(self, sentence: str, act: Callable[[], None], *, last: bool = False) -> None:
        self._steps.append(_Step(sentence, act, last))

    def forget(self) -> None:
        """From here on, what was done stays."""
        self._steps.clear()

    def run(self) -> tuple[list[str], list[str]]:
        """Takes all of it back, the last first: sentences on what was done, and what was not.

        Raises `LostTurnError`: what is left is another run's then.
        """
        done: list[str] = []
        left: list[str] = []
        while self._steps:
            step = self._steps.pop()
            if step.last and left:
                left.append(f"Kept, since the above still needs it: {step.sentence}.")
            elif problem := _problem(step.act):
                left.append(f"Not done: {step.sentence}. {problem}")
            else:
                done.append(f"{step.sentence}.")
        return done, left


def _problem(act: Callable[[], None]) -> str:
    """Why it could not be done; empty where it was."""
    for attempt in range(1, TRIES + 1):
        try:
            act()
        except ControlError as exc:
            problem = str(exc)
            if not exc.passing:
                break
            if attempt < TRIES:
                time.sleep(exc.retry_after or attempt)
        except LostTurnError:
            raise
        except (ProvisioningError, RotationError) as exc:
            return str(exc)
        except DatabaseError as exc:
            return f"The database does not allow it ({type(exc).__name__})."
        else:
            return ""
    return problem
