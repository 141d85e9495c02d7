"""Provisionings that workers do. Each is a row with a due time and a lease, as a rotation is one.

A worker that is killed leaves a lease that runs out, and another one goes on from what it finds.
"""

import logging
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from streams import audit
from streams.models import Endpoint, Secret, Setup, SetupState, User
from streams.provisioning import engine
from streams.provisioning.problems import (
    BusyError,
    FailedError,
    LostTurnError,
    ProvisioningError,
    StoppedError,
    UnfitError,
)
from streams.provisioning.request import Request
from streams.rotation.engine import account

logger = logging.getLogger(__name__)

# Seconds for a plan: somebody waits for it.
PATIENCE = 20.0
# Seconds until a worker looks again whether another run has ended.
AGAIN = 10
_THERE = gettext_lazy("There is an endpoint %s already.")


@dataclass(frozen=True)
class Plan:
    """`lines` are what would be done, with each proof; `changes` how many of them change things."""

    lines: list[str]
    changes: int


def plan(request: Request) -> Plan:
    """What would be done; changes nothing. Raises `ProvisioningError` where it would stop."""
    lines: list[str] = []
    deadline = time.monotonic() + PATIENCE

    def guard() -> None:
        if time.monotonic() > deadline:
            raise StoppedError(_("AWS does not answer in time. Nothing was changed."))

    outcome = engine.preview(request, account(), lines.append, guard=guard)
    return Plan(lines, len(outcome.changes))


def start(request: Request, planned: list[str], *, by: User) -> Setup:
    """Stores the intention, and what was `planned`; workers do the rest.

    Raises `BusyError`, and `UnfitError` where it would change what is there, or what is others'.
    """
    if Endpoint.objects.filter(slug=request.slug).exists():
        raise UnfitError(_THERE % request.slug)
    mine = Secret.objects.operable_by(by).values("pk")
    if Secret.objects.filter(name=request.secret).exclude(pk__in=mine).exists():
        raise UnfitError(_("The secret %s belongs to others. Take another name.") % request.secret)
    try:
        with transaction.atomic():
            made = Setup.objects.create(
                slug=request.slug,
                function=request.function,
                request=asdict(request),
                plan=planned,
                requested_by=by.get_username(),
            )
            audit.record(
                "provisioning.asked", by=by, what=request.slug,
                details={"function": request.function},
            )  # fmt: skip
            return made
    except IntegrityError:
        raise BusyError(_("%s is being provisioned already.") % request.slug) from None


@transaction.atomic
def stop(row: Setup, *, by: User) -> bool:
    """Has it stopped, and what it did taken back; False where it has ended."""
    if not Setup.objects.filter(pk=row.pk, stop=False).open().update(stop=True, due_at=Now()):
        return False
    audit.record(
        "provisioning.stop-asked", by=by, what=row.slug, details={"function": row.function}
    )
    return True


def advance(pk: int) -> None:
    """Does it, if it is due and nobody else does."""
    with transaction.atomic():
        due = Setup.objects.filter(pk=pk).due()
        # Who hands it back leaves no lease.
        due.filter(lease_until__isnull=False).update(orphaned=True)
        if not due.update(token=F("token") + 1, lease_until=_until()):
            return
        row = Setup.objects.get(pk=pk)
    try:
        _Worker(row).work()
    except LostTurnError:
        logger.warning("setup_lost", extra={"setup": pk})


@dataclass
class _Worker:
    """One worker's hold on one row."""

    row: Setup
    heard: bool = False

    def work(self) -> None:
        row, by = self.row, User.objects.filter(username=self.row.requested_by).first()
        request = Request.stored(row.request)
        if row.stop and not row.orphaned:
            self._end(SetupState.FAILED, problem=_("It was stopped before it had begun."))
            return
        # One that a killed worker has registered is ours.
        if not row.orphaned and Endpoint.objects.filter(slug=row.slug).exists():
            self._end(SetupState.FAILED, problem=_THERE % row.slug)
            return
        try:
            outcome = engine.provision(request, account(), self.say, by=by, guard=self.guard)
        except BusyError as exc:
            self.say(str(exc))
            self.write(lease_until=None, due_at=Now() + timedelta(seconds=AGAIN))
        except FailedError as exc:
            self._end(
                SetupState.FAILED, problem=str(exc), undone=exc.undone, left=[*exc.left, *self._old]
            )
        except LostTurnError:
            raise
        except ProvisioningError as exc:
            self._end(SetupState.FAILED, problem=str(exc), left=self._old)
        except Exception:
            # A fault of our own: what was done is taken back by the engine. The log has the rest.
            logger.exception("setup_failed", extra={"setup": row.pk})
            problem = _("It ended by a fault of this portal, which stands in the worker's log.")
            self._end(SetupState.FAILED, problem=problem, left=self._old)
        else:
            self._end(SetupState.COMPLETED, gateway_url=outcome.gateway_url)

    @property
    def _old(self) -> list[str]:
        """What nobody can take back any more."""
        if not self.row.orphaned:
            return []
        return [
            _("What an earlier worker made, before it was ended, stays. Another run takes it up.")
        ]

    def say(self, sentence: str) -> None:
        # Another worker's same sentence is no news.
        if sentence not in self.row.told:
            self.row.told.append(sentence)
            self.write(told=self.row.told)

    def guard(self) -> None:
        """Before each call of AWS."""
        self.write(lease_until=_until())
        if not self.heard and Setup.objects.filter(pk=self.row.pk, stop=True).exists():
            # Once: taking back calls AWS as well.
            self.heard = True
            raise StoppedError(_("It was stopped by an operator."))

    def write(self, **values: Any) -> None:
        """Changes the row, if it is still ours. Raises `LostTurnError`."""
        mine = Setup.objects.filter(pk=self.row.pk, token=self.row.token).open()
        if not mine.update(**values):
            raise LostTurnError("Another worker has this now.")

    def _end(self, state: SetupState, **values: Any) -> None:
        self.write(state=state, finished_at=Now(), lease_until=None, **values)
        logger.info("setup_ended", extra={"setup": self.row.pk, "state": state})


def _until() -> Any:
    return Now() + timedelta(seconds=settings.ROTATION_LEASE)
