"""What is sealed: the canonical form of an entry and of the head, and their digests."""

import json
from datetime import UTC
from hashlib import sha256
from typing import Any

from streams.audit import keys
from streams.models import AuditEntry, AuditHead

# What the first entry follows.
GENESIS = "0" * 64
_FORM = 1


def _canonical(parts: list[Any]) -> str:
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))


def digest(entry: AuditEntry, *, number: int | None = None) -> str:
    """SHA-256 of everything in it but digest and seal, as if it had this number."""
    parts = [
        "entry",
        _FORM,
        entry.number if number is None else number,
        entry.time.astimezone(UTC).isoformat(timespec="microseconds"),
        entry.actor,
        entry.how,
        entry.address,
        entry.action,
        entry.what,
        entry.details,
        entry.key_id,
        entry.previous,
    ]
    return sha256(_canonical(parts).encode()).hexdigest()


def seal(entry: AuditEntry) -> None:
    """Gives it its digest and its seal. Everything else is set."""
    entry.digest = digest(entry)
    entry.seal = keys.seal(entry.key_id, _sealed_of(entry))


def is_sealed(entry: AuditEntry) -> bool:
    """Whether its seal is of its digest. Its key must be known."""
    return keys.fits(entry.key_id, _sealed_of(entry), entry.seal)


def _sealed_of(entry: AuditEntry) -> str:
    return _canonical(["entry", _FORM, entry.digest])


def seal_head(head: AuditHead) -> None:
    """Seals it with the newest key."""
    head.key_id = keys.newest()
    head.seal = keys.seal(head.key_id, _sealed_of_head(head))


def head_is_sealed(head: AuditHead) -> bool:
    """Likewise for the head."""
    return keys.fits(head.key_id, _sealed_of_head(head), head.seal)


def _sealed_of_head(head: AuditHead) -> str:
    return _canonical(["head", _FORM, head.trimmed, head.trimmed_digest, head.number, head.digest])
