"""Makes what is missing between a function and a protected endpoint, or takes all of it back.

Each task reads first, says what it is about to do, does it, and reads again. A run that was killed
is run again: it finds what is there, and goes on.
"""

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from django.core.exceptions import ValidationError

from streams import audit
from streams.aws.account import Account
from streams.aws.failures import ControlError
from streams.models import User
from streams.provisioning import turn
from streams.provisioning.function import (
    EnvironmentHolds,
    FunctionIsThere,
    SecretIsChecked,
    SecretIsStored,
    UrlIsOpen,
    UrlStreams,
)
from streams.provisioning.gateway import HttpPath, RestPath
from streams.provisioning.problems import FailedError, LostTurnError, ProvisioningError, UnfitError
from streams.provisioning.registering import IsRegistered
from streams.provisioning.request import Request
from streams.provisioning.site import Site, Task
from streams.rotation.problems import RotationError

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Attempts where AWS refuses for a while, and rounds of doing what reads back otherwise.
TRIES = 6


@dataclass
class Outcome:
    """What came of it. `changes` are sentences: what was done, or what would be."""

    changes: list[str] = field(default_factory=list)
    url: str = ""
    gateway_url: str = ""


def provision(
    request: Request,
    account: Account,
    say: Callable[[str], None],
    *,
    by: User | None = None,
    guard: Callable[[], None] = lambda: None,
) -> Outcome:
    """Sets it up. Raises `BusyError`, or `FailedError` when what was done is taken back.

    `by` is who asked, if they have signed in. `guard` is called before each call of AWS, and raises
    a `ProvisioningError` where there must be no more.
    """
    with turn.taken(request.function, say) as held:

        def before() -> None:
            held.renew()
            guard()

        site = Site(request, account, before, say)
        begins = partial(_record, "started", request, by)
        try:
            outcome = Outcome(carry_out(list(tasks(site)), site, begins=begins))
        except ProvisioningError as exc:
            _record("failed", request, by, problem=str(exc))
            raise
        except BaseException:
            _record("stopped", request, by)
            raise
    _found(site, outcome)
    _record("completed", request, by, changes="\n".join(outcome.changes))
    logger.info(
        "provisioned", extra={"function": request.function, "changes": len(outcome.changes)}
    )
    return outcome


def _record(verb: str, request: Request, by: User | None, **details: str) -> None:
    told = {"function": request.function, **details}
    audit.record(f"provisioning.{verb}", by=by, what=request.slug, details=told)


def preview(
    request: Request,
    account: Account,
    say: Callable[[str], None],
    *,
    guard: Callable[[], None] = lambda: None,
) -> Outcome:
    """Says what would be done, and changes nothing. Raises `FailedError` where it would stop.

    `guard` as above.
    """
    site = Site(request, account, guard, say)
    outcome = Outcome(foretell(list(tasks(site)), site))
    _found(site, outcome)
    return outcome


def carry_out(
    made: Sequence[Task], site: Site, *, begins: Callable[[], None] = lambda: None
) -> list[str]:
    """Does what is missing: sentences on what was done. The turn is the caller's.

    `begins` is called before the first change.

    Raises `FailedError` when all of it is taken back, and `LostTurnError`.
    """
    task, done = made[0], list[str]()
    try:
        # Nothing is changed before everything is as it should be.
        for task in made:
            _patiently(site, task.missing)
        begins()
        for task in made:
            _perform(task, site, done)
    except (ProvisioningError, RotationError, ControlError, ValidationError) as exc:
        raise _failed(site, task.name, exc) from None
    except BaseException:
        # An operator's Ctrl-C among others.
        for sentence in itertools.chain(*site.undo.run()):
            site.say(sentence)
        raise
    return done


def foretell(made: Sequence[Task], site: Site) -> list[str]:
    """What `carry_out` would do, and changes nothing. Raises `FailedError` where it would stop."""
    changes: list[str] = []
    for task in made:
        try:
            sentences = _patiently(site, task.missing)
        except (ProvisioningError, RotationError, ControlError) as exc:
            raise FailedError(f"{task.name}: {exc}", [], []) from None
        changes += [f"{task.name}: {sentence}" for sentence in sentences]
        for sentence in sentences:
            site.say(f"{task.name}: {sentence}")
        if task.proof:
            site.say(f"Proof: {task.proof}")
    return changes


def tasks(site: Site) -> Iterator[Task]:
    """In their order: the database before AWS, the check before everybody may call."""
    yield FunctionIsThere(site)
    yield SecretIsStored(site)
    yield EnvironmentHolds(site)
    yield SecretIsChecked(site)
    yield UrlStreams(site)
    yield UrlIsOpen(site)
    wanted = site.request.gateway
    if wanted is not None:
        yield RestPath(site, wanted) if wanted.type == "rest" else HttpPath(site, wanted)
    yield IsRegistered(site)


def _perform(task: Task, site: Site, done: list[str]) -> None:
    """Until nothing is missing any more, as far as can be read; then asks whether it works."""
    told: list[str] = []

    def is_done() -> bool:
        missing = task.missing()
        for sentence in missing:
            if sentence not in told:
                told.append(sentence)
                done.append(f"{task.name}: {sentence}")
                site.say(f"{task.name}: {sentence}")
        if missing:
            task.do()
        return not missing

    for _ in range(TRIES):
        if _patiently(site, is_done):
            _patiently(site, task.prove)
            return
    raise UnfitError("It was done, and reads back otherwise. Somebody else may be changing it.")


def _patiently(site: Site, act: Callable[[], T]) -> T:
    """What `act` comes to, tried again where AWS refuses for a while or its answer is lost."""
    for attempt in itertools.count(1):
        try:
            return act()
        except ControlError as exc:
            if not exc.passing or attempt == TRIES:
                raise
            site.pause(exc.retry_after or attempt / 2)
    raise AssertionError


def _failed(site: Site, name: str, exc: Exception) -> ProvisioningError:
    problem = exc.messages[0] if isinstance(exc, ValidationError) else str(exc)
    if isinstance(exc, LostTurnError):
        return exc
    try:
        undone, left = site.undo.run()
    except LostTurnError as lost:
        return lost
    return FailedError(f"{name}: {problem}", undone, left)


def _found(site: Site, outcome: Outcome) -> None:
    outcome.url = site.url
    if site.request.gateway is not None:
        outcome.gateway_url = site.request.gateway.address(site.request.region)
