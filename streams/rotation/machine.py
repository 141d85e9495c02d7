"""One turn of a rotation: a step, and what becomes of it. Knows no database and no clock."""

from dataclasses import dataclass, replace

from streams.aws.failures import ControlError, PacedError, ThrottledError
from streams.models.rotations import RotationState as State
from streams.rotation.plan import Plan
from streams.rotation.problems import DriftError, UnfitError
from streams.rotation.run import Run
from streams.rotation.steps import MovedError

# In seconds: after the first failure of a step; at most; and of one that needs a person's help.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
STUCK_PAUSE = 300.0
# A failure that passes by itself should have by then.
PATIENT_ATTEMPTS = 8
# Steps before which nothing has been changed: a rotation that cannot pass them has just failed.
UNTOUCHED = "preflight"
ROLLED_BACK = "An operator rolled it back."


@dataclass(frozen=True)
class Progress:
    """Where a rotation stands. `pause` is in seconds until its next turn.

    `reached` is a later step that it has been at already, before it had to do some again: what was
    done until there is to be undone too.
    """

    step: str
    back: bool = False
    state: State = State.RUNNING
    attempts: int = 0
    problem: str = ""
    waiting: str = ""
    pause: float = 0.0
    reached: str = ""


def advance(progress: Progress, plan: Plan, run: Run) -> Progress:
    """The progress after one turn. Raises `LostLeaseError`."""
    step = plan.steps[plan.index(progress.step)]
    try:
        wait = step.undo(run) if progress.back else step.do(run)
    except MovedError as exc:
        return _at(_reaching(progress, plan), exc.step)
    except ControlError as exc:
        return _after_refusal(progress, exc)
    except DriftError as exc:
        return _ended(progress, exc) if _is_untouched(progress) else stuck(progress, str(exc))
    except UnfitError as exc:
        return _turned(progress, plan, str(exc)) or stuck(progress, str(exc))
    if wait is not None:
        return replace(
            progress, state=State.RUNNING, attempts=0, waiting=wait.reason, pause=wait.seconds
        )
    return _next(progress, plan)


def stop(progress: Progress, *, keeps: bool) -> Progress | None:
    """The end of one that an operator rolls back, where nothing is to be undone; else None.

    One that `keeps` what it has done ends where it stands.
    """
    if _is_untouched(progress):
        return replace(_at(progress, progress.step, State.FAILED), problem=ROLLED_BACK)
    if keeps:
        stopped = _at(progress, progress.step, State.ROLLED_BACK)
        return replace(stopped, problem="An operator stopped it. What it has put back stays.")
    return None


def turn_back(progress: Progress, plan: Plan) -> Progress | None:
    """The progress of an operator's roll-back; None where it goes only forward from here."""
    return stop(progress, keeps=plan.keeps) or _turned(progress, plan, ROLLED_BACK)


def give_up(progress: Progress, reason: str) -> Progress:
    """The end, where it stands, of one that nobody can finish or take back."""
    ended = _at(progress, progress.step, State.FAILED)
    return replace(ended, problem=f"An operator gave it up. {reason}")


def _next(progress: Progress, plan: Plan) -> Progress:
    if progress.step == progress.reached:
        progress = replace(progress, reached="")
    step = plan.after(progress.step, back=progress.back)
    if step is None:
        ended = State.ROLLED_BACK if progress.back else State.COMPLETED
        return _at(progress, progress.step, ended)
    return _at(progress, step)


def _at(progress: Progress, step: str, state: State = State.RUNNING) -> Progress:
    # Why it goes back is told until its end; what held up a step is over.
    problem = progress.problem if progress.back else ""
    return Progress(step, progress.back, state, problem=problem, reached=progress.reached)


def _reaching(progress: Progress, plan: Plan) -> Progress:
    """The same, which remembers the last step that it was at."""
    if progress.back:
        return progress
    last = max(filter(None, (progress.step, progress.reached)), key=plan.index)
    return replace(progress, reached=last)


def _is_untouched(progress: Progress) -> bool:
    return progress.step == UNTOUCHED and not progress.back


def _turned(progress: Progress, plan: Plan, reason: str) -> Progress | None:
    if progress.back:
        return None
    if _is_untouched(progress):
        return replace(_at(progress, progress.step, State.FAILED), problem=reason)
    if not plan.can_go_back_from(progress.step):
        return None
    return Progress(progress.reached or progress.step, back=True, problem=reason)


def _ended(progress: Progress, exc: DriftError) -> Progress:
    return replace(_at(progress, progress.step, State.FAILED), problem=str(exc))


def stuck(progress: Progress, problem: str) -> Progress:
    return replace(
        progress, state=State.STUCK, problem=problem, waiting="", pause=STUCK_PAUSE,
        attempts=progress.attempts + 1,
    )  # fmt: skip


def _after_refusal(progress: Progress, exc: ControlError) -> Progress:
    if isinstance(exc, PacedError):
        # Nothing has failed, however many others are before it.
        return replace(progress, waiting=str(exc), pause=exc.retry_after or FIRST_PAUSE)
    attempts = progress.attempts + 1
    if not exc.passing or attempts >= PATIENT_ATTEMPTS:
        return stuck(progress, str(exc))
    told = exc.retry_after if isinstance(exc, ThrottledError) else None
    pause = told or min(LONGEST_PAUSE, FIRST_PAUSE * 2**progress.attempts)
    return replace(progress, attempts=attempts, waiting=str(exc), pause=pause)
