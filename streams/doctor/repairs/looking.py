"""Looks once more at what a finding is about: before a repair, and after it."""

import time
from typing import Any

from streams.doctor.checks import ALL, Check, Finding, SkippedError
from streams.doctor.gathering import Gatherer
from streams.doctor.repairs.problems import NotNowError
from streams.rotation.engine import account

# Seconds that one look may take.
PATIENCE = 60.0


def current(
    identity: str, subject: str, *, secret: str | None = None, endpoint: str | None = None
) -> list[Finding]:
    """What this check finds there now; nothing, where it is mended or not registered any more.

    It is named as `manage.py doctor --json` does. Raises `NotNowError` where it cannot tell.
    """
    check = next((one for one in ALL if one.id == identity), None)
    if check is None:
        raise NotNowError(f"There is no check {identity}.")
    gatherer = Gatherer(account(), time.monotonic() + PATIENCE, lambda _: None)
    subjects = gatherer.again(subject, secret=secret or "", endpoint=endpoint or "")
    return [finding for facts in subjects for finding in _found(check, facts)]


def _found(check: Check, facts: Any) -> list[Finding]:
    if not isinstance(facts, check.of):
        return []
    try:
        return [Finding(check, facts, one) for one in check.found(facts)]
    except SkippedError as exc:
        raise NotNowError(f"It cannot be told whether it is still so: {exc}") from None


def is_there(finding: Finding) -> bool:
    """Whether it is still found, to be mended in the same way. Raises `NotNowError`."""
    return any(one.found.repair == finding.found.repair for one in _same(finding))


def check_as_shown(finding: Finding) -> bool:
    """Whether it is still found. Raises `NotNowError` where another repair is needed by now."""
    now = [one.found.repair for one in _same(finding)]
    if now and finding.found.repair not in now:
        raise NotNowError("It is not as it was when this was shown. Look once more.")
    return bool(now)


def _same(finding: Finding) -> list[Finding]:
    """What this finding's check finds there now."""
    subject = finding.subject
    return current(
        finding.check.id, subject.name, secret=subject.secret_name, endpoint=subject.endpoint
    )
