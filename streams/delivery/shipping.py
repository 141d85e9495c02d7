"""What nginx's log says of the downloads that it carried, written into their records.

A line is written once nginx is done with a download, and the record then ends as any other does. A
line may be read twice: the second time its record has ended.
"""

import json
import logging
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Self
from uuid import UUID

from django.db import DatabaseError, connections, transaction

from streams import audit
from streams.delivery import recorded, watching
from streams.delivery.logfile import Log
from streams.delivery.meter import log_end
from streams.models import Download, Figure, Figures, Proof, State, Tally
from streams.net.errors import TruncatedError

logger = logging.getLogger(__name__)

# Lines of one transaction, and seconds between two looks.
BATCH = 500
PERIOD = 0.5


@dataclass(frozen=True)
class Line:
    """One line: `sent` are bytes of the body, times are in seconds.

    `head` is how long the portal and the origin took for their heads together.
    """

    download: UUID
    status: int
    sent: int
    length: int | None
    done: bool
    head: float
    took: float
    ended: datetime

    @classmethod
    def parse(cls, text: bytes) -> Self | None:
        """None for what is no line of ours (`spillway_offload` of `deploy/nginx.conf`)."""
        try:
            said: dict[str, Any] = json.loads(text)
            return cls(
                download=UUID(said["download"]),
                status=int(said["status"]),
                sent=int(said["sent"]),
                length=int(said["length"]) if said["length"] else None,
                done=said["done"] == "OK",
                head=_sum(said["head"]),
                took=float(said["took"]),
                ended=datetime.fromtimestamp(float(said["ended"]), UTC),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def outcome(self) -> tuple[State, str]:
        """State and reason. nginx says `OK` also of what the origin broke off, but of no client
        that left.

        Without a length nothing here would tell a whole from a part, so it counts as none.
        """
        if not self.done:
            return State.CANCELLED, "client_left"
        if self.sent != self.length:
            return State.CUT, TruncatedError.code
        return State.COMPLETE, ""


def _sum(text: str) -> float:
    """Of what nginx has for the portal's answer and the origin's."""
    return sum(0.0 if value == "-" else float(value) for value in re.split(r"[\s:,]+", text))


def ship(lines: Iterable[bytes]) -> int:
    """Ends the records that these lines tell of, all or none; gives their number."""
    said = {line.download: line for text in lines if (line := Line.parse(text))}
    # One that was waited for too long is put right.
    waiting = Download.objects.filter(
        pk__in=said, offloaded=True, state__in=[State.RUNNING, State.INTERRUPTED]
    )
    with transaction.atomic():
        rows = list(waiting.select_for_update())
        figures = Figures()
        for row in rows:
            _end(row, said[row.pk])
            figures.merge(watching.figures_of(row))
            figures.count(Figure.BYTES, row.slug, by=row.sent)
        Tally.objects.add(figures)
        audit.append([recorded.ended(row) for row in rows])
    for row in rows:
        log_end(row)
    return len(rows)


def _end(row: Download, line: Line) -> None:
    row.state, row.reason = line.outcome()
    row.sent, row.status = line.sent, line.status
    # The version may have changed in the moment between; what the client was told counts.
    row.size = line.length
    if row.state == State.COMPLETE:
        row.proof = Proof.LENGTH
    row.finished_at = row.seen_at = line.ended
    if line.sent:
        # The clocks of nginx and of the portal need not agree, and nginx tells milliseconds.
        begun = line.ended - timedelta(seconds=line.took - line.head)
        row.first_byte_at = max(row.started_at, begun)
    row.save(
        update_fields=[
            "state", "reason", "sent", "status", "size", "proof", "finished_at", "seen_at",
            "first_byte_at",
        ]
    )  # fmt: skip


def follow(log: Log, *, once: bool = False) -> None:
    """Ships what the log has and gets; with `once`, what it has.

    What the database did not take is tried again, but for `once`, which raises `DatabaseError`.
    """
    batch: list[bytes] = []
    while True:
        batch = batch or list(islice(log.lines(), BATCH))
        if not batch:
            if once:
                return
            time.sleep(PERIOD)
            continue
        try:
            ship(batch)
        except DatabaseError as exc:
            if once:
                raise
            logger.warning("downloads_not_recorded", extra={"error": type(exc).__name__})
            connections.close_all()
            time.sleep(PERIOD)
        else:
            log.remember()
            batch = []
