"""This installation itself."""

from collections.abc import Iterator

from streams.doctor.checks.check import Found, Severity, SkippedError, check
from streams.doctor.facts import PortalFacts

# Seconds that due work may wait before somebody should look.
PATIENCE = 600.0


@check(
    "portal-keys",
    Severity.ERROR,
    "The encryption keys decrypt every stored value",
    consequence="What cannot be decrypted cannot be sent: downloads, rotations or notices fail.",
)
def keys(portal: PortalFacts) -> Iterator[Found]:
    if portal.undecryptable:
        yield Found(
            f"No key of SPILLWAY_ENCRYPTION_KEYS decrypts {', '.join(portal.undecryptable)}.",
            "Add the key that it was stored with behind the newest one, and run manage.py rekey.",
        )


@check(
    "portal-broker",
    Severity.ERROR,
    "The broker answers",
    consequence="Workers hear of nothing: rotations do not begin and notices are not sent.",
)
def broker(portal: PortalFacts) -> Iterator[Found]:
    if not portal.broker:
        yield Found(
            "The broker does not answer.",
            "Start it, or correct CELERY_BROKER_URL.",
        )


@check(
    "portal-scheduler",
    Severity.ERROR,
    "Due work is done",
    consequence="Rotations stand still, drift is not noticed, and nobody is told.",
    follows_from=("portal-broker",),
)
def scheduler(portal: PortalFacts) -> Iterator[Found]:
    if portal.waiting > PATIENCE:
        yield Found(
            f"Work has been due for {portal.waiting / 60:.0f} minutes, and no worker has taken it.",
            "Start manage.py worker, and let one of the workers run with --with-scheduler.",
        )


@check(
    "portal-debug",
    Severity.WARNING,
    "Debug mode is off",
    consequence="Pages of errors show settings and code to whoever meets them.",
)
def debug(portal: PortalFacts) -> Iterator[Found]:
    if portal.debug:
        yield Found("SPILLWAY_DEBUG is on.", "Turn it off, except on your own machine.")


@check(
    "portal-hosts",
    Severity.WARNING,
    "The portal answers to its own names",
    consequence="With *, a forged Host header ends up in links; without its own name, the portal "
    "refuses those who follow a link to it.",
)
def hosts(portal: PortalFacts) -> Iterator[Found]:
    if "*" in portal.hosts:
        yield Found(
            "SPILLWAY_ALLOWED_HOSTS lets the portal answer to any name.",
            "Name the hosts that it is reached by.",
        )
        return
    if not portal.base_host:
        raise SkippedError("SPILLWAY_BASE_URL is not set.")
    if not any(_covers(host, portal.base_host) for host in portal.hosts):
        yield Found(
            f"SPILLWAY_BASE_URL leads to {portal.base_host}, which is not among "
            "SPILLWAY_ALLOWED_HOSTS.",
            "Add it there.",
        )


def _covers(pattern: str, host: str) -> bool:
    return pattern == host or (pattern.startswith(".") and f".{host}".endswith(pattern))
