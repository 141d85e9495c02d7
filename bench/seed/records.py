"""What has happened: downloads by the million, and an audit log that is chained and sealed."""

import random
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from bench.seed.loading import load
from streams import audit
from streams.audit import chain, keys
from streams.audit.log import locked
from streams.models import AuditEntry, Download, Endpoint, How, User

# All began within these days: nothing that a page sums up is far back.
DAYS = 30
# Of so many the last ones still run. They are seen in the future, or they would have died.
RUNNING = 200
_AHEAD = timedelta(days=3650)
_ACTIONS = ("download.began", "download.ended", "user.signed-in", "endpoint.changed")


def downloads(
    count: int, dice: random.Random, now: datetime, of: Sequence[Endpoint], by: Sequence[User]
) -> None:
    """The oldest first, as they come in."""
    load(Download, _downloads(count, dice, now, of, by))


def _downloads(
    count: int, dice: random.Random, now: datetime, of: Sequence[Endpoint], by: Sequence[User]
) -> Iterator[dict[str, Any]]:
    apart = timedelta(days=DAYS) / max(count, 1)
    running = min(RUNNING, count // 10)
    for number in range(count):
        # Some exports and some users have most of it.
        endpoint = of[int(len(of) * dice.random() ** 2)]
        user = by[int(len(by) * dice.random() ** 2)]
        began = now - apart * (count - number)
        row = {
            "id": uuid.UUID(int=dice.getrandbits(128), version=4),
            "endpoint_id": endpoint.pk, "slug": endpoint.slug, "filename": endpoint.filename,
            "user_id": user.pk, "username": user.username, "address": f"192.0.2.{number % 250}",
            "status": 200, "started_at": began, "first_byte_at": began + timedelta(seconds=1),
            "size": (size := dice.randrange(10**5, 10**9)), "total": size,
        }  # fmt: skip
        if number >= count - running:
            sent = dice.randrange(size)
            yield row | {"sent": sent, "seen_at": now + _AHEAD, "speed": 2_000_000}
        else:
            yield row | _ended(dice, size, began)


def _ended(dice: random.Random, size: int, began: datetime) -> dict[str, Any]:
    ended = began + timedelta(seconds=dice.randrange(2, 600))
    times = {"seen_at": ended, "finished_at": ended}
    what = dice.random()
    if what < 0.93:
        proved = {"state": "complete", "sent": size, "proof": "length"}
        return times | proved | {"sha256": f"{dice.getrandbits(256):064x}", "resumable": True}
    if what < 0.97:
        return times | {"state": "cut", "reason": "origin-truncated", "sent": size // 3}
    if what < 0.99:
        return times | {"state": "cancelled", "reason": "client-left", "sent": size // 2}
    failed = {"state": "failed", "reason": "origin-refused", "status": 502, "diagnosis": "Unknown."}
    return times | failed | {"first_byte_at": None, "size": None, "total": None}


@transaction.atomic
def entries(count: int, dice: random.Random, now: datetime, by: Sequence[User]) -> None:
    """Appends so many to the audit log, in the past, as `audit.append` would."""
    head, _trouble = locked()
    apart = timedelta(days=DAYS) / max(count, 1)

    def made() -> Iterator[dict[str, Any]]:
        for number in range(count):
            entry = AuditEntry(
                number=head.number + 1, time=now - apart * (count - number), how=How.WEB,
                actor=by[int(len(by) * dice.random() ** 2)].username,
                address=f"192.0.2.{number % 250}", action=_ACTIONS[number % len(_ACTIONS)],
                what=f"export-{number % 1000:04}", details={"bytes": str(dice.randrange(10**9))},
                previous=head.digest, key_id=keys.newest(),
            )  # fmt: skip
            chain.seal(entry)
            head.number, head.digest = entry.number, entry.digest
            yield {field.attname: getattr(entry, field.attname) for field in columns}

    columns = AuditEntry._meta.concrete_fields
    load(AuditEntry, made())
    chain.seal_head(head)
    head.save()
    audit.record("portal.seeded", by=None, what=f"{count} entries that were made up")
