"""Writes what downloads have sent into their records: in batches, once a second."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import Error as DatabaseError
from django.db import IntegrityError, connection, connections, transaction
from django.utils import timezone

from streams import audit
from streams.delivery import abandoned, recorded, stopping, throttle, watching
from streams.delivery.digests import Parts
from streams.delivery.throttle import Key, Throttles
from streams.models import Download, Figure, Figures, PartDigests, State, Tally

logger = logging.getLogger(__name__)

PERIOD = 1.0
GATHER = 0.2
# An idle download says this often, in periods, that its process lives.
HEARTBEAT = 8
# Seconds for which a database must have answered before others are given up: while it was away,
# nobody could say that they live.
TRUST = 12.0
# Seconds for which an end is waited for to be written, by whom that matters.
LONGEST_WRITE = 5.0
# Seconds over which a speed is told.
WINDOW = 3.0

COUNTS = ("sent", "speed", "resumes", "seen_at")
BEGUN = (
    "started_at",
    "status",
    "first",
    "size",
    "total",
    "proof",
    "resumable",
    "filename",
    "first_byte_at",
    "kept_until",
)
ENDED = (*BEGUN, "sent", "sha256", "resumes", "state", "reason", "seen_at", "finished_at")


@dataclass(frozen=True)
class Reading:
    """What had been sent by a moment of the loop's clock."""

    sent: int
    at: float


@dataclass(frozen=True)
class Batch:
    """What is written together, and the keys whose running downloads are to be counted."""

    begun: Sequence[Download]
    moved: Sequence[Download]
    ended: Sequence[Download]
    parts: Mapping[UUID, Parts]
    keys: Iterable[Key]
    figures: Figures
    # Whether downloads that nobody tells of may be ended.
    trusted: bool


@dataclass(frozen=True)
class Seen:
    """What the records say of all processes: how many run of each key, and which are to end why."""

    running: dict[Key, int]
    stopping: Mapping[UUID, str]


class Meter:
    """Keeps the records of this process's downloads true.

    The data plane only changes attributes of a record and says when one has begun or ended; no
    request waits for the database. What could not be written is written with the next batch.
    """

    def __init__(
        self,
        throttles: Throttles,
        stop: Callable[[Mapping[UUID, str]], None],
        figures: Figures,
    ) -> None:
        """`stop` is given the downloads that are to end, whoever carries them, and why.

        Whatever others put into `figures` is stored with the next batch.
        """
        self._throttles = throttles
        self._stop = stop
        self._figures = figures
        # How many bytes of each download count already.
        self._counted: dict[object, int] = {}
        self._parts: dict[UUID, Parts] = {}
        self._live: dict[object, Download] = {}
        self._begun: list[Download] = []
        self._ended: list[Download] = []
        self._awaited: dict[UUID, asyncio.Event] = {}
        self._written: dict[object, tuple[int, int | None]] = {}
        self._readings: dict[object, Reading] = {}
        self._time = asyncio.get_running_loop().time
        self._wake = asyncio.Event()
        self._tick = 0
        self._answering_since: float | None = self._time()

    def waits(self, record: Download) -> None:
        """`record` was stored, and has no first byte yet: its process lives, and may be asked."""
        self._live[record.pk] = record
        self._readings[record.pk] = Reading(0, self._time())
        # What it was stored with.
        self._written[record.pk] = (0, None)

    def began(self, record: Download) -> None:
        """`record` was stored and its head is known."""
        self._live[record.pk] = record
        self._readings[record.pk] = Reading(record.sent, self._time())
        self._begun.append(record)
        self._wake.set()

    def handed_over(self, record: Download) -> None:
        """`record` was stored, and another program carries it: nothing more is known here."""
        self._forget(record)
        self._begun.append(record)
        self._wake.set()

    def ended(self, record: Download, parts: Parts | None = None) -> None:
        """`record` has its last state, and what was sent these digests."""
        if parts is not None and parts.digests and record.state == State.COMPLETE:
            self._parts[record.pk] = parts
        self._count_sent(record)
        # A HEAD that failed was no download, and has no row.
        if not record._state.adding:
            self._figures.merge(watching.figures_of(record))
        self._counted.pop(record.pk, None)
        self._forget(record)
        self._ended.append(record)
        self._wake.set()
        log_end(record)
        watching.end(record)

    async def stored(self, record: Download) -> None:
        """Waits until the end of `record`, which was told just now, is in the database.

        Not for ever: while the database is away, nobody can ask it either.
        """
        written = self._awaited[record.pk] = asyncio.Event()
        try:
            async with asyncio.timeout(LONGEST_WRITE):
                await written.wait()
        except TimeoutError:
            pass
        finally:
            del self._awaited[record.pk]

    def _forget(self, record: Download) -> None:
        self._live.pop(record.pk, None)
        self._written.pop(record.pk, None)
        self._readings.pop(record.pk, None)

    async def run(self) -> None:
        """Writes for as long as it is not cancelled."""
        # A thread and a connection of its own: a database that is busy holds up nobody else.
        async with ThreadSensitiveContext():
            try:
                while True:
                    await self._gather()
                    await self.flush()
            finally:
                await sync_to_async(connections.close_all)()

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(PERIOD):
                await self._wake.wait()
            # What comes within a moment goes into the same transaction.
            await asyncio.sleep(GATHER)
        except TimeoutError:
            self._tick += 1

    async def flush(self) -> None:
        """Writes what has changed."""
        self._wake.clear()
        begun, self._begun = self._begun, []
        ended, self._ended = self._ended, []
        self._measure()
        moved = [
            record
            for key, record in self._live.items()
            if (record.sent, record.speed) != self._written.get(key) or self._tick % HEARTBEAT == 0
        ]
        for record in self._live.values():
            self._count_sent(record)
        parts = {r.pk: self._parts.pop(r.pk) for r in ended if r.pk in self._parts}
        keys = self._throttles.keys()
        idle = self._tick % HEARTBEAT != 0
        if idle and not (begun or ended or self._live or keys or self._figures):
            return
        figures = self._figures.take()
        batch = Batch(begun, moved, ended, parts, keys, figures, self._is_trusted())
        told = {record.pk: (record.sent, record.speed) for record in moved}
        try:
            seen = await sync_to_async(_write)(batch)
        except DatabaseError as exc:
            logger.warning("downloads_not_recorded", extra={"error": type(exc).__name__})
            self._begun[:0], self._ended[:0] = begun, ended
            self._parts |= parts
            self._figures.merge(figures)
            self._answering_since = None
        else:
            if self._answering_since is None:
                self._answering_since = self._time()
            for record in ended:
                if written := self._awaited.get(record.pk):
                    written.set()
            self._throttles.share(seen.running)
            self._stop(seen.stopping)
            self._written |= {key: value for key, value in told.items() if key in self._live}

    def _count_sent(self, record: Download) -> None:
        before, self._counted[record.pk] = self._counted.get(record.pk, 0), record.sent
        if record.sent > before:
            self._figures.count(Figure.BYTES, record.slug, by=record.sent - before)

    def _is_trusted(self) -> bool:
        since = self._answering_since
        return since is not None and self._time() - since > TRUST

    def _measure(self) -> None:
        """Tells speeds by what was sent since the reading before."""
        now = self._time()
        for key, record in self._live.items():
            before = self._readings[key]
            if now - before.at >= WINDOW:
                record.speed = round((record.sent - before.sent) / (now - before.at))
                self._readings[key] = Reading(record.sent, now)


def log_end(record: Download) -> None:
    """The one line that each download leaves in the log; `uvicorn.access` is off."""
    ended = record.finished_at or timezone.now()
    logger.info(
        "download_ended",
        extra={
            "download": str(record.pk),
            # Also where it was ended by another than its own request.
            **({"request_id": record.request_id} if record.request_id else {}),
            "export": record.slug,
            "user": record.username,
            "state": str(record.state),
            "reason": record.reason,
            "status": record.status,
            "sent": record.sent,
            "size": record.size,
            "resumes": record.resumes,
            "seconds": round((ended - record.started_at).total_seconds(), 3),
        },
    )


def _store(record: Download, fields: Iterable[str]) -> None:
    # An update and not `save`: a row that was deleted meanwhile must not stop those of others.
    values = {name: getattr(record, name) for name in fields}
    try:
        with transaction.atomic():
            Download.objects.filter(pk=record.pk).update(**values)
    except IntegrityError:
        logger.exception("download_not_recorded", extra={"download": str(record.pk)})


def _store_counts(moved: Iterable[Download]) -> None:
    """Once a second for each running download: `bulk_update` takes thirty times as long."""
    columns = {field.name: field for field in Download._meta.concrete_fields}
    *counts, pk = (columns[name] for name in (*COUNTS, "id"))
    named = ", ".join(f"{field.column} = %s" for field in counts)
    table = connection.ops.quote_name(Download._meta.db_table)
    # One that was handed over meanwhile is no longer ours to tell of.
    statement = f"UPDATE {table} SET {named} WHERE {pk.column} = %s AND NOT offloaded"  # noqa: S608 - our names
    values = [
        [field.get_db_prep_save(getattr(record, field.name), connection) for field in (*counts, pk)]
        for record in moved
    ]
    if values:
        with connection.cursor() as cursor:
            cursor.executemany(statement, values)


def _store_parts(parts: Mapping[UUID, Parts]) -> None:
    known = set(Download.objects.filter(pk__in=parts).values_list("pk", flat=True))
    PartDigests.objects.bulk_create(
        [
            PartDigests(download_id=key, first=held.first, digests=held.digests)
            for key, held in parts.items()
            if key in known
        ],
        ignore_conflicts=True,
    )


def _write(batch: Batch) -> Seen:
    """Writes it all or nothing, and looks what the others wrote."""
    now = timezone.now()
    events = [recorded.begun(record) for record in batch.begun]
    events += [recorded.ended(record) for record in batch.ended]
    # A copy: the batch may be written again.
    figures = Figures(batch.figures)
    try:
        with transaction.atomic():
            for record in batch.begun:
                # What was handed over was stored then, and may have ended since.
                if not record.offloaded:
                    _store(record, BEGUN)
            for record in batch.moved:
                record.seen_at = now
            _store_counts(batch.moved)
            for record in batch.ended:
                record.seen_at = now
                _store(record, ENDED)
            if batch.parts:
                _store_parts(batch.parts)
            if batch.trusted:
                lost = abandoned.interrupted(now)
                events += [recorded.ended(record) for record in lost]
                for record in lost:
                    figures.merge(watching.figures_of(record))
            Tally.objects.add(figures)
            audit.append(events)
        return Seen(throttle.running(batch.keys), stopping.asked())
    except DatabaseError:
        # A broken connection is replaced by a new one at the next attempt.
        connections.close_all()
        raise
