"""What `manage.py check --deploy` says: the doctor's checks of settings and disks, and one more."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

# A number stays with its check, and is not given again.
NUMBERS = {
    "portal-debug": 1,
    "portal-hosts": 2,
    "portal-https": 3,
    "portal-plain": 4,
    "portal-static": 5,
    "portal-disk-space": 6,
    "portal-database-disk": 7,
    "portal-broker-disk": 8,
}
DRAIN = "spillway.W009"
# Seconds that a call of AWS which changes something may take, with the time to connect.
LONGEST_CALL = 30.0


@checks.register(checks.Tags.security, deploy=True)
def deployment(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """Each finding, under Django's kind of id: `spillway.E003`."""
    # Every process imports this module; what the doctor needs, AWS's library among it, few do.
    from streams.doctor import installation
    from streams.doctor.checks import Severity
    from streams.doctor.run import judged

    messages: list[checks.CheckMessage] = []
    for finding in judged([installation.deployment()]).findings:
        error = finding.check.severity == Severity.ERROR
        number = f"spillway.{'E' if error else 'W'}{NUMBERS[finding.check.id]:03}"
        make = checks.Error if error else checks.Warning
        messages.append(make(finding.found.sentence, hint=finding.found.fix, id=number))
    return messages


@checks.register(deploy=True)
def drain(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """A call that a worker has begun before it lost its lease must not come after a rotation."""
    least = settings.ROTATION_LEASE + LONGEST_CALL
    if least <= settings.ROTATION_DRAIN:
        return []
    return [
        checks.Warning(
            f"SPILLWAY_ROTATION_DRAIN is {settings.ROTATION_DRAIN:g} seconds, which is less than "
            "SPILLWAY_ROTATION_LEASE and half a minute.",
            hint=f"Set it to {least:g} or more. A call of AWS that a worker has given up may else "
            "come when nothing waits for it any more.",
            id=DRAIN,
        )
    ]
