"""Takes a rotation forward: claims it, does its turns, records each.

A tick may come late, doubled, or not at all, and its process may be killed anywhere: what was done
stands in AWS and in the row, and the next one goes on from there.
"""

import logging
import time
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, When
from django.db.models.functions import Now

from portal import log, tracing
from streams.aws.account import Account
from streams.aws.failures import ControlError
from streams.models import (
    Checkup,
    Figure,
    Figures,
    Mode,
    Rotation,
    RotationEvent,
    RotationState,
    Secret,
    Tally,
    Why,
)
from streams.models.fields import UndecryptableError
from streams.rotation import auditing, hopeless, machine, telling
from streams.rotation.lease import Lease, claim
from streams.rotation.machine import Progress
from streams.rotation.parts import asking, function_of, origins, parts
from streams.rotation.plan import ONLY_BACK, Plan, plan
from streams.rotation.problems import LostLeaseError, UnfitError
from streams.rotation.run import Run, Waits
from streams.rotation.versions import StoredVersions

logger = logging.getLogger(__name__)

# Seconds: a worker hands a rotation back after this, and does not wait longer than that itself.
TURN = 25.0
SHORT = 0.5
_TERMINAL = {RotationState.COMPLETED, RotationState.ROLLED_BACK, RotationState.FAILED}


@cache
def account() -> Account:
    """AWS credentials of this process."""
    return Account()


def advance(pk: int) -> float | None:
    """Takes one rotation as far as it comes without waiting, if it is due and nobody else has it.

    The seconds until its next turn; None where there is none, or another worker sees to it.
    """
    lease = claim(pk, settings.ROTATION_LEASE)
    if lease is None:
        return None
    with log.bound(rotation=pk):
        try:
            progress = _Worker(lease).work()
        except LostLeaseError:
            logger.warning("rotation_lost")
            return None
    if progress.state in _TERMINAL:
        return None
    # An operator may have said a word meanwhile.
    return 0.0 if Rotation.objects.filter(pk=pk).due().exists() else progress.pause


class _Worker:
    """One worker with one lease."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.rotation = lease.rotation
        self.versions = StoredVersions(lease)

    def work(self) -> Progress:
        progress = self._stopped(_progress_of(self.rotation))
        if progress.state in _TERMINAL:
            return progress
        try:
            run = self._run()
            with tracing.span("rotation plan", self._told()):
                steps = self._plan()
        except (UnfitError, ControlError, UndecryptableError) as exc:
            stuck = machine.stuck(progress, str(exc))
            self._record(progress, stuck)
            return stuck
        progress = self._heeded(progress, steps)
        if progress.state in _TERMINAL:
            return progress
        until = time.monotonic() + TURN
        while True:
            self._began = progress
            after = self._turn(progress, steps, run)
            rests = after.pause > SHORT or after.state != RotationState.RUNNING
            last = rests or time.monotonic() > until or self._spoken_to()
            self._record(progress, after, last=last)
            if last:
                return after
            time.sleep(after.pause)
            progress = after

    def _told(self) -> dict[str, tracing.Value]:
        rotation = self.rotation
        names = {"secret": rotation.secret.name, "mode": str(rotation.mode)}
        return {"rotation": rotation.pk, **names}

    def _turn(self, progress: Progress, steps: Plan, run: Run) -> Progress:
        said = {**self._told(), "step": progress.step, "back": progress.back}
        with tracing.span("rotation step", said) as span:
            after = machine.advance(progress, steps, run)
            if span:
                failed = after.problem and after.problem != progress.problem
                span.end(failure="step_failed" if failed else "", state=str(after.state))
        return after

    def _spoken_to(self) -> bool:
        return Rotation.objects.filter(pk=self.rotation.pk, resumed=True).exists()

    def _plan(self) -> Plan:
        rotation = self.rotation
        made = parts(
            rotation.secret, self.versions, account(), self.lease.renew, in_use=rotation.old.alias
        )
        return plan(Mode(rotation.mode), made)

    def _stopped(self, progress: Progress) -> Progress:
        """The same, or its end where an operator's word can end it with no plan and no value."""
        rotation = self.rotation
        if not (rotation.roll_back or rotation.give_up):
            return progress
        stopped = machine.stop(progress, keeps=rotation.mode == Mode.REPAIR)
        if stopped:
            # Not given up: nothing was left as it stood, or it may be left so.
            rotation.give_up = False
            self._record(progress, stopped, roll_back=False)
        elif rotation.give_up:
            return self._given_up(progress)
        return stopped or progress

    def _given_up(self, progress: Progress) -> Progress:
        """Its end, where nobody can finish it or take it back."""
        self._began = progress
        try:
            reason = self._hopeless()
        except (UnfitError, ControlError) as exc:
            self._say(f"It cannot be given up: {exc}")
            self.rotation.give_up = False
            self._record(progress, progress, last=False, give_up=False)
            return progress
        ended = machine.give_up(progress, reason)
        with transaction.atomic():
            self.versions.give_up()
            self._record(progress, ended)
        return ended

    def _hopeless(self) -> str:
        """Why nobody can. Raises `UnfitError` or a `ControlError` where somebody may."""
        secret, guard = self.rotation.secret, self.lease.renew
        try:
            run = self._run()
        except UndecryptableError as exc:
            return str(exc)
        function = function_of(secret, account(), guard)
        return hopeless.reason(function, origins(secret, asking(guard)), run)

    def _heeded(self, progress: Progress, steps: Plan) -> Progress:
        """The progress after an operator's word, if there was one since the last turn."""
        if not self.rotation.roll_back:
            return progress
        turned = machine.turn_back(progress, steps)
        if turned is None:
            self._began = progress
            self._say("It cannot be taken back any more: it goes on.")
        # Heard in the same write as what it led to.
        self._record(progress, turned or progress, last=False, roll_back=False)
        return turned or progress

    def _run(self) -> Run:
        new = self.rotation.new
        return Run(
            old=self.rotation.old.value,
            new=new.value if new else "",
            notes=self.lease,
            waits=waits(Mode(self.rotation.mode)),
            clock=self.lease.now,
            say=self._say,
        )

    def _say(self, text: str) -> None:
        RotationEvent.objects.create(rotation=self.rotation, step=self._began.step, text=text)

    def _record(self, before: Progress, after: Progress, *, last: bool = True, **also: Any) -> None:
        values: dict[str, Any] = {
            "step": after.step,
            "back": after.back,
            "reached": after.reached,
            "state": after.state,
            "attempts": after.attempts,
            "problem": after.problem,
            "waiting": after.waiting,
            "due_at": Case(
                # What was asked for in the course of this turn is heard in the next one, at once.
                When(resumed=True, then=Now()),
                default=Now() + timedelta(seconds=max(0.0, after.pause)),
            ),
            **also,
        }
        if after.step != before.step:
            values["step_at"] = Now()
        if (after.step, after.back) != (before.step, before.back):
            values["stretch_at"] = Now()
        if after.state in _TERMINAL:
            values["finished_at"] = Now()
            # What is said in the last turn of all has ended nothing.
            values["give_up"] = self.rotation.give_up
        if last:
            values["lease_until"] = None
        # Told by whoever still has the rotation, and by nobody else.
        with transaction.atomic():
            self.lease.write(**values)
            self._tell(before, after)

    def _tell(self, before: Progress, after: Progress) -> None:
        if after.problem and after.problem != before.problem:
            RotationEvent.objects.create(
                rotation=self.rotation, step=before.step, text=after.problem
            )
        if passing := _passing(before, after):
            RotationEvent.objects.create(rotation=self.rotation, step=before.step, text=passing)
        if after.state != RotationState.RUNNING:
            telling.tell_state(self.rotation.pk)
        if after.state in _TERMINAL:
            figures = Figures()
            figures.count(Figure.ROTATIONS, self.rotation.mode, str(after.state))
            Tally.objects.add(figures)
            given_up = self.rotation.give_up and after.state == RotationState.FAILED
            auditing.record("given-up" if given_up else after.state, self.rotation)
            # Whatever it has left behind, the doctor sees it soon.
            secret = Secret.objects.filter(pk=self.rotation.secret_id)
            Checkup.objects.hanging_on(secret).ask(Why.ROTATION)
        if (after.step, after.state) != (before.step, before.state):
            logger.info(
                "rotation_advanced",
                extra={
                    "secret": self.rotation.secret.name,
                    "step": after.step,
                    "state": str(after.state),
                },
            )


def _passing(before: Progress, after: Progress) -> str:
    """What became of the step that was left; empty where none was, or it turns back there."""
    taken_back = after.state == RotationState.ROLLED_BACK and after.back
    ended = after.state == RotationState.COMPLETED or taken_back
    if after.back != before.back or (after.step == before.step and not ended):
        return ""
    if after.reached == before.step:
        return f"It goes on from {after.step} once more."
    return "Taken back." if before.back and before.step not in ONLY_BACK else "Done."


def _progress_of(rotation: Rotation) -> Progress:
    return Progress(
        step=rotation.step,
        back=rotation.back,
        state=RotationState(rotation.state),
        attempts=rotation.attempts,
        problem=rotation.problem,
        reached=rotation.reached,
    )


def waits(mode: Mode = Mode.OVERLAP) -> Waits:
    """How long this portal waits; not at all in an emergency."""
    if mode == Mode.EMERGENCY:
        return Waits(0, 0, 0)
    return Waits(
        settle=settings.ROTATION_SETTLE,
        propagation=settings.ROTATION_PROPAGATION,
        drain=settings.ROTATION_DRAIN,
        # Without an overlap they are refused however long one waits.
        consumers=settings.ROTATION_CONSUMERS if mode == Mode.OVERLAP else 0,
    )
