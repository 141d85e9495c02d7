"""This installation itself."""

import ipaddress
from collections.abc import Iterator

from streams.doctor.checks.check import Found, Severity, SkippedError, check, known
from streams.doctor.facts import DeploymentFacts, PortalFacts

# Seconds that due work may wait before somebody should look.
PATIENCE = 600.0
# Bytes that the state folder should have left.
ROOM = 512 << 20


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
    _based(portal)
    if not answers_to_itself(portal):
        yield Found(
            f"SPILLWAY_BASE_URL leads to {portal.base_host}, which is not among "
            "SPILLWAY_ALLOWED_HOSTS.",
            "Add it there.",
        )


def answers_to_itself(portal: DeploymentFacts) -> bool:
    """Whether SPILLWAY_ALLOWED_HOSTS has the host of SPILLWAY_BASE_URL."""
    return any(host == "*" or _covers(host, portal.base_host) for host in portal.hosts)


def _covers(pattern: str, host: str) -> bool:
    return pattern == host or (pattern.startswith(".") and f".{host}".endswith(pattern))


@check(
    "portal-https",
    Severity.ERROR,
    "SPILLWAY_HTTPS suits the portal's address",
    consequence="The portal takes forms that come over https for forged, so that nobody can sign "
    "in, and its cookies may travel without TLS.",
)
def https(portal: DeploymentFacts) -> Iterator[Found]:
    if not _based(portal).startswith("https:"):
        raise SkippedError("SPILLWAY_BASE_URL does not begin with https.")
    if not portal.https:
        yield Found(
            "SPILLWAY_BASE_URL begins with https, and SPILLWAY_HTTPS is off.",
            "Set SPILLWAY_HTTPS=true, and let the proxy where TLS ends overwrite "
            "X-Forwarded-Proto.",
            evidence=(f"SPILLWAY_BASE_URL: {portal.base_url}",),
        )


@check(
    "portal-plain",
    Severity.WARNING,
    "The portal is reached over TLS",
    consequence="Passwords, tokens and files can be read, and changed, by everybody on their way.",
)
def plain(portal: DeploymentFacts) -> Iterator[Found]:
    if _based(portal).startswith("http:") and not _is_local(portal.base_host):
        yield Found(
            "SPILLWAY_BASE_URL begins with http, and its host is not this machine.",
            "End TLS in a proxy in front (deploy/nginx.conf), and set SPILLWAY_HTTPS=true and a "
            "SPILLWAY_BASE_URL that begins with https.",
            evidence=(f"SPILLWAY_BASE_URL: {portal.base_url}",),
        )


@check(
    "portal-static",
    Severity.WARNING,
    "Static files are collected",
    consequence="Pages fail, or come without style and script.",
)
def static(portal: DeploymentFacts) -> Iterator[Found]:
    missing = known(portal.uncollected)
    if missing:
        yield Found(
            f"{len(missing)} static files are not where they are served from.",
            "Start the portal with manage.py serve, which collects them, or run manage.py "
            "collectstatic.",
            evidence=missing[:3],
            cli=("manage.py collectstatic --noinput",),
        )


@check(
    "portal-disk-space",
    Severity.WARNING,
    "The state folder has room",
    consequence="When it is full, the embedded database takes nothing any more: downloads fail, "
    "and rotations stand still.",
)
def disk_space(portal: DeploymentFacts) -> Iterator[Found]:
    if portal.free is None:
        raise SkippedError("There is no state folder.")
    if portal.free < ROOM:
        yield Found(
            f"{portal.free >> 20} MiB are free on the disk of the state folder.",
            "Make room there, or move SPILLWAY_STATE_DIR to a larger disk.",
            evidence=(f"folder: {portal.state}", f"expected: {ROOM >> 20} MiB"),
        )


@check(
    "portal-database-disk",
    Severity.ERROR,
    "SQLite is on a disk of its machine",
    consequence="SQLite's log (WAL) needs memory that its processes share, and locks that hold. "
    "Across a network, what was stored may be lost.",
)
def database_disk(portal: DeploymentFacts) -> Iterator[Found]:
    if portal.database_disk:
        yield Found(
            f"The embedded database is on a network disk ({portal.database_disk}).",
            "Move SPILLWAY_STATE_DIR to a local disk. Where several machines are to share it, set "
            "DATABASE_URL to PostgreSQL.",
            evidence=(f"file system: {portal.database_disk}",),
        )


@check(
    "portal-broker-disk",
    Severity.WARNING,
    "The embedded broker is on a disk of its machine",
    consequence="Messages come late or twice there; work goes on with the tick.",
    follows_from=("portal-database-disk",),
)
def broker_disk(portal: DeploymentFacts) -> Iterator[Found]:
    if portal.broker_disk:
        yield Found(
            f"The folder of the embedded broker is on a network disk ({portal.broker_disk}).",
            "Set CELERY_BROKER_URL to Redis, RabbitMQ or SQS, or move SPILLWAY_STATE_DIR to a "
            "local disk.",
            evidence=(f"file system: {portal.broker_disk}",),
        )


def _based(portal: DeploymentFacts) -> str:
    if not portal.base_url:
        raise SkippedError("SPILLWAY_BASE_URL is not set.")
    return portal.base_url


def _is_local(host: str) -> bool:
    """Whether the name leads to the machine that asks."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
