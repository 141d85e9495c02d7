"""Facts of this installation: its settings and disks, and what runs it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.files.storage import storages
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import QuerySet
from django.db.models.functions import Now

from streams.doctor import disks, front
from streams.doctor.broker import broker_answers, embedded_folder, worker_answers
from streams.doctor.facts import DeploymentFacts, PortalFacts, Unread
from streams.models import (
    Channel,
    DriftCheck,
    Installation,
    Notice,
    Rotation,
    SecretVersion,
)
from streams.models.fields import UndecryptableError

# The tick may stay away for so many of its periods, and for so many seconds, before it is missed.
PERIODS = 10
SECONDS = 300.0


def deployment() -> DeploymentFacts:
    """What settings and disks tell: neither network nor database is asked."""
    return DeploymentFacts(**_deployed())


def portal() -> PortalFacts:
    """All that is found out about this installation."""
    broker, silent, ticked = broker_answers(), *_silence()
    missed = silent > _patience()
    return PortalFacts(
        **_deployed(),
        undecryptable=tuple(_undecryptable()),
        unmigrated=unmigrated(),
        broker=broker,
        worker=_worker(broker=broker) if missed else True,
        silent=silent if missed else 0.0,
        ticked=ticked,
        waiting=_waiting(),
        installation=front.identity(),
        fronts=front.ask(),
    )


def silent_since() -> datetime | None:
    """Since when the tick has been missed; None where it comes. The database alone is asked."""
    longest = timedelta(seconds=_patience())
    row: Any = Installation.objects.annotate(now=Now()).first()
    since: datetime | None = row and (row.ticked_at or row.made_at)
    return since if since and row.now - since > longest else None


def unmigrated() -> tuple[str, ...]:
    """The migrations that the database lacks."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return tuple(f"{migration.app_label}.{migration.name}" for migration, _ in plan)


def _deployed() -> dict[str, Any]:
    database, broker = _sqlite(), embedded_folder()
    return {
        "name": "portal",
        "about": frozenset({"portal"}),
        "debug": settings.DEBUG,
        "hosts": tuple(settings.ALLOWED_HOSTS),
        "base_url": settings.BASE_URL,
        "https": settings.SECURE_SSL_REDIRECT and settings.SESSION_COOKIE_SECURE,
        "uncollected": _uncollected(),
        "state": str(settings.STATE_DIR),
        "free": disks.free(settings.STATE_DIR),
        "database_disk": disks.network_type(Path(database)) if database else "",
        "broker_disk": disks.network_type(Path(broker)) if broker else "",
    }


def _sqlite() -> str:
    """The file of the embedded database; empty where another one serves."""
    database = settings.DATABASES["default"]
    return str(database["NAME"]) if database["ENGINE"].endswith("sqlite3") else ""


def _uncollected() -> tuple[str, ...] | Unread:
    """The static files that pages would fail to link to, or that are not where they are served."""
    # Anew: the list that a process has read at its start may be older than the files.
    storage: Any = storages.create_storage(settings.STORAGES["staticfiles"])
    if not isinstance(storage, ManifestFilesMixin):
        return Unread("Static files are served under their own names.")
    names = (name for finder in get_finders() for name, _ in finder.list([]))
    return tuple(name for name in names if not _is_collected(storage, name))


def _is_collected(storage: Any, name: str) -> bool:
    hashed = storage.hashed_files.get(storage.hash_key(storage.clean_name(name)))
    return bool(hashed) and storage.exists(hashed)


def _silence() -> tuple[float, bool]:
    """Seconds since the last tick, or since there is this portal, and whether there was one."""
    Installation.objects.here()
    row: Any = Installation.objects.annotate(now=Now()).get()
    return (row.now - (row.ticked_at or row.made_at)).total_seconds(), bool(row.ticked_at)


def _patience() -> float:
    """Seconds after which the tick is missed."""
    period: Any = settings.CELERY_BEAT_SCHEDULE["tick"]["schedule"]
    return max(SECONDS, PERIODS * float(period))


def _worker(*, broker: bool) -> bool | Unread:
    return worker_answers() if broker else Unread("The broker does not answer.")


def _undecryptable() -> Iterator[str]:
    versions = SecretVersion.objects.order_by("pk").values_list("pk", "secret__name", "number")
    for pk, secret, number in versions:
        if not _decrypts(SecretVersion.objects.filter(pk=pk)):
            yield f"{secret} version {number}"
    for pk, name in Channel.objects.order_by("pk").values_list("pk", "name"):
        channel = Channel.objects.filter(pk=pk)
        if not _decrypts(channel.defer("sealed")):
            yield f"the key of channel {name}"
        if not _decrypts(channel.defer("key")):
            yield f"the address of channel {name}"


def _decrypts(rows: QuerySet[Any]) -> bool:
    try:
        list(rows)
    except UndecryptableError:
        return False
    return True


def _waiting() -> float:
    """Seconds for which the oldest work has been due that nobody has taken."""
    longest = 0.0
    for due in (Rotation.objects.due(), DriftCheck.objects.due(), Notice.objects.due()):
        found = due.order_by("due_at").annotate(now=Now()).values_list("due_at", "now").first()
        if found:
            since, now = found
            assert isinstance(now, datetime)
            longest = max(longest, (now - since).total_seconds())
    return longest
