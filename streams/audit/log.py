"""Appends to the log, in the transaction of what it tells of."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from django.db import transaction
from django.db.models.functions import Now

from streams.audit import chain, keys
from streams.audit.source import current
from streams.models import AuditEntry, AuditHead, Source, User

NOTHING: Mapping[str, str] = MappingProxyType({})
MASK = "***"
# Written before whatever comes next where the head is not as it was left: for good.
BROKEN = "audit.broken"

_ACTION = re.compile(r"[a-z][a-z-]*(\.[a-z][a-z-]*)+")
_SECRET = re.compile(
    r"(?i)(^|[^a-z])(value|secret|password|passcode|passphrase|token|authorization|cookie"
    r"|credentials?|key)s?($|[^a-z])"
)
# How much of a detail is kept, in characters.
_LONGEST = 1000


@dataclass(frozen=True)
class Event:
    """What is to be recorded. `actor` is a user's name, or empty."""

    action: str
    what: str
    actor: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    source: Source = field(default_factory=current)


def record(
    action: str, *, by: User | None, what: str, details: Mapping[str, str] = NOTHING
) -> None:
    """Writes one entry, in the transaction that is open, or in one of its own.

    `action` is a dotted id that stays, such as `endpoint.changed`; `what` names the object. `by` is
    None where nobody who signed in asked for it. Names only: a detail whose name sounds like that
    of a secret is masked. Call it last: nobody else writes until the transaction has ended.
    """
    append([Event(action, what, by.get_username() if by else "", details)])


def append(events: Sequence[Event]) -> None:
    """Writes an entry for each, in this order, likewise."""
    for event in events:
        if not _ACTION.fullmatch(event.action):
            raise ValueError(f"an action is a dotted id such as endpoint.changed: {event.action}")
    if events:
        with transaction.atomic():
            _append(events)


def _append(events: Sequence[Event]) -> None:
    head, trouble = locked()
    if trouble:
        events = [Event(BROKEN, trouble), *events]
    now = AuditHead.objects.values_list(Now(), flat=True).get()
    entries = []
    for event in events:
        entry = AuditEntry(
            number=head.number + 1,
            time=now,
            actor=_text(event.actor, 150),
            how=event.source.how,
            address=_text(event.source.address, 100),
            action=event.action,
            what=_text(event.what, 300),
            details=_masked(event.details),
            previous=head.digest,
            key_id=keys.newest(),
        )
        chain.seal(entry)
        head.number, head.digest = entry.number, entry.digest
        entries.append(entry)
    AuditEntry.objects.bulk_create(entries)
    chain.seal_head(head)
    head.save()


def locked() -> tuple[AuditHead, str]:
    """The head, which nobody else has until our transaction ends, and what is wrong with it."""
    head = AuditHead.objects.select_for_update().first()
    if head is None:
        return _begun()
    if not keys.is_known(head.key_id):
        return head, "The head is sealed with a key that is gone."
    return head, "" if chain.head_is_sealed(head) else "The head was changed."


def _begun() -> tuple[AuditHead, str]:
    """A head where there is none: before the first entry of all, or because somebody took it."""
    first, last = AuditEntry.objects.order_by("number").first(), AuditEntry.objects.first()
    made = AuditHead(
        pk=1,
        trimmed=first.number - 1 if first else 0,
        trimmed_digest=first.previous if first else chain.GENESIS,
        number=last.number if last else 0,
        digest=last.digest if last else chain.GENESIS,
    )
    # Two may begin at once: both then take the same one.
    AuditHead.objects.bulk_create([made], ignore_conflicts=True)
    head = AuditHead.objects.select_for_update().get()
    if head.seal:
        return head, ""
    return head, "The head was gone: entries may be missing before this one." if last else ""


def _masked(details: Mapping[str, str]) -> dict[str, str]:
    return {
        _text(name, 100): MASK if _SECRET.search(name) else _text(value, _LONGEST)
        for name, value in details.items()
    }


def _text(text: str, longest: int) -> str:
    """What every database can store, and gives back as it is."""
    return (
        str(text)
        .encode(errors="replace")
        .decode()
        .replace("\0", "\N{REPLACEMENT CHARACTER}")[:longest]
    )
