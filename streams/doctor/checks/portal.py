"""This installation itself."""

from collections.abc import Iterator

from streams.doctor.checks.check import Found, Severity, SkippedError, check, known
from streams.doctor.facts import DeploymentFacts, PortalFacts

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
            "Start it, or correct CELERY_BROKER_URL. The embedded one is the folder broker below "
            "SPILLWAY_STATE_DIR, where the portal must be able to write.",
        )


@check(
    "portal-migrations",
    Severity.ERROR,
    "The database is up to date",
    consequence="Pages and work that need what is missing fail, and serve does not start.",
)
def migrations(portal: PortalFacts) -> Iterator[Found]:
    if portal.unmigrated:
        yield Found(
            f"The database lacks {len(portal.unmigrated)} migrations.",
            "Run manage.py migrate.",
            evidence=portal.unmigrated[:5],
            cli=("manage.py migrate",),
        )


@check(
    "portal-worker",
    Severity.ERROR,
    "A worker takes messages",
    consequence="Rotations stand still, drift is not noticed, and nobody is told.",
    follows_from=("portal-broker",),
)
def worker(portal: PortalFacts) -> Iterator[Found]:
    if not known(portal.worker):
        yield Found(
            "No worker runs: nobody takes what the broker has.",
            "Start manage.py worker --with-scheduler.",
            evidence=(_last_tick(portal),),
        )


@check(
    "portal-scheduler",
    Severity.ERROR,
    "Due work is done",
    consequence="Rotations stand still, drift is not noticed, and nobody is told.",
    follows_from=("portal-broker", "portal-worker"),
)
def scheduler(portal: PortalFacts) -> Iterator[Found]:
    if portal.waiting > PATIENCE:
        yield Found(
            f"Work has been due for {portal.waiting / 60:.0f} minutes, and no worker has taken it.",
            "Start manage.py worker, and let one of the workers run with --with-scheduler.",
            evidence=(_last_tick(portal),),
        )


@check(
    "portal-tick",
    Severity.WARNING,
    "The scheduler ticks",
    consequence="Nothing begins when its time has come, and what a lost message rang for is not "
    "found.",
    follows_from=("portal-broker", "portal-worker", "portal-scheduler"),
)
def tick(portal: PortalFacts) -> Iterator[Found]:
    if portal.silent:
        yield Found(
            "The scheduler does not tick.",
            "Run one of the workers with --with-scheduler.",
            evidence=(_last_tick(portal),),
        )


def _last_tick(portal: PortalFacts) -> str:
    if not portal.silent:
        return "last tick: just now"
    return f"last tick: {portal.silent / 60:.0f} minutes ago" if portal.ticked else "no tick so far"


@check(
    "portal-debug",
    Severity.WARNING,
    "Debug mode is off",
    consequence="Pages of errors show settings and code to whoever meets them.",
)
def debug(portal: DeploymentFacts) -> Iterator[Found]:
    if portal.debug:
        yield Found("SPILLWAY_DEBUG is on.", "Turn it off, except on your own machine.")


@check(
    "portal-hosts",
    Severity.WARNING,
    "The portal answers to its own names",
    consequence="With *, a forged Host header ends up in links; without its own name, the portal "
    "refuses those who follow a link to it.",
)
def hosts(portal: DeploymentFacts) -> Iterator[Found]:
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
