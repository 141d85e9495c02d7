"""Reads the whole log and says what is not as it was written."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from streams.audit import chain, keys, protection
from streams.audit.log import BROKEN
from streams.models import AuditEntry, AuditHead

# A log that was rewritten from end to end has as many problems as entries.
MOST = 100
# In how many numbers to either side one is looked for that was moved.
AROUND = 1000


class Kind(StrEnum):
    ALTERED = "altered"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    HEAD = "head"
    BROKEN = "broken"
    UNKNOWN_KEY = "unknown-key"
    UNPROTECTED = "unprotected"


# Says only that something could not be told.
_UNTOLD = {Kind.UNKNOWN_KEY}
# Of these nothing has been done to the log.
_HARMLESS = {Kind.UNPROTECTED}


@dataclass(frozen=True)
class Problem:
    """`first` and `last` are numbers of entries; None where it is about none."""

    kind: Kind
    sentence: str
    first: int | None = None
    last: int | None = None


@dataclass
class Verdict:
    """What was found. `number` and `digest` are those of the last entry, to be kept elsewhere."""

    entries: int = 0
    trimmed: int = 0
    number: int = 0
    digest: str = chain.GENESIS
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems or {one.kind for one in self.problems} <= _HARMLESS

    @property
    def tampered(self) -> bool:
        return bool({one.kind for one in self.problems} - _HARMLESS - _UNTOLD)


@dataclass(frozen=True)
class Known:
    """An entry that is known from elsewhere: from an earlier verification, say."""

    number: int
    digest: str


def verify(known: Known | None = None) -> Verdict:
    """Reads all entries, in constant memory; stops at the hundredth problem."""
    head = AuditHead.objects.first()
    verdict = Verdict()
    walk = _Walk(verdict, head)
    for problem in _found(walk, head, known):
        verdict.problems.append(problem)
        if len(verdict.problems) == MOST:
            break
    return verdict


def _found(walk: "_Walk", head: AuditHead | None, known: Known | None) -> Iterator[Problem]:
    if not protection.is_whole():
        yield Problem(
            Kind.UNPROTECTED, _("The database does not refuse changes: its triggers are missing.")
        )
    if head is None:
        if AuditEntry.objects.exists():
            yield Problem(Kind.HEAD, _("There are entries, and no head that says where they end."))
    elif not keys.is_known(head.key_id):
        yield Problem(
            Kind.UNKNOWN_KEY,
            _("The head is sealed with the key %s, which is gone: what was cut off is not known.")
            % head.key_id,
        )
    elif not chain.head_is_sealed(head):
        yield Problem(Kind.HEAD, _("The head, which says where the log ends, was changed."))
    yield from walk.entries()
    yield from walk.end()
    if known is not None:
        yield from _held_against(known)


def _held_against(known: Known) -> Iterator[Problem]:
    entry = AuditEntry.objects.filter(number=known.number).first()
    if entry is None or entry.digest != known.digest:
        yield Problem(
            Kind.ALTERED if entry else Kind.DELETED,
            _("Entry %d is not the one that was expected.") % known.number,
            known.number,
            known.number,
        )


class _Walk:
    """From the first entry to the last that the head knew of when this began."""

    def __init__(self, verdict: Verdict, head: AuditHead | None) -> None:
        self.verdict = verdict
        self._head = head
        # None where it is not known, since the entry itself is not as it was.
        self._previous: str | None = head.trimmed_digest if head else chain.GENESIS
        verdict.digest = self._previous or ""
        verdict.number = verdict.trimmed = head.trimmed if head else 0
        # Since the last seal that was looked at.
        self._unsealed: AuditEntry | None = None

    def entries(self) -> Iterator[Problem]:
        rows = AuditEntry.objects.order_by("number")
        if self._head:
            rows = rows.filter(number__lte=self._head.number)
        for entry in self._read(rows):
            yield from self._gap_before(entry)
            if problem := self._wrong_with(entry):
                yield problem
            # One that is altered is told once, and not again at the one that follows.
            self._previous = None if problem else entry.digest
            self.verdict.entries += 1
            self.verdict.number, self.verdict.digest = entry.number, entry.digest

    def _read(self, rows: QuerySet[AuditEntry]) -> Iterator[AuditEntry]:
        try:
            yield from rows.iterator(chunk_size=1000)
        except ValueError:
            # One has a time that is none. From here on one by one, to see which.
            rest = rows.filter(number__gt=self.verdict.number)
            for number in rest.values_list("number", flat=True).iterator():
                try:
                    yield rest.get(number=number)
                except ValueError:
                    yield rest.defer("time").get(number=number)

    def end(self) -> Iterator[Problem]:
        head, last = self._head, self.verdict.number
        if self._unsealed:
            yield Problem(
                Kind.UNKNOWN_KEY,
                _("Entry %(number)d is sealed with the key %(key)s, which is gone.")
                % {"number": self._unsealed.number, "key": self._unsealed.key_id},
                self._unsealed.number,
                last,
            )
        if head and last < head.number:
            yield Problem(
                Kind.TRUNCATED, _("Cut off at the end: %s.") % _numbers(last + 1, head.number),
                last + 1, head.number,
            )  # fmt: skip
        elif head and self._previous not in {None, head.digest}:
            yield Problem(
                Kind.HEAD, _("The head does not know entry %d, the last one, as it is.") % last,
                last, last,
            )  # fmt: skip
        yield from self._beyond()

    def _gap_before(self, entry: AuditEntry) -> Iterator[Problem]:
        wanted = self.verdict.number + 1
        if entry.number > wanted:
            yield Problem(
                Kind.DELETED, _("Deleted: %s.") % _numbers(wanted, entry.number - 1),
                wanted, entry.number - 1,
            )  # fmt: skip
            self._previous = None
        elif entry.number < wanted:
            yield self._about(Kind.INSERTED, _("Entry %d was there before the log began."), entry)

    def _wrong_with(self, entry: AuditEntry) -> Problem | None:
        if "time" in entry.get_deferred_fields() or entry.time is None:
            return self._about(Kind.ALTERED, _("Entry %d has a time that is none."), entry)
        if chain.digest(entry) != entry.digest:
            return _moved(entry) or self._about(
                Kind.ALTERED, _("Entry %d was altered after it was written."), entry
            )
        if keys.is_known(entry.key_id):
            self._unsealed = None
            if not chain.is_sealed(entry):
                return self._about(
                    Kind.INSERTED, _("Entry %d was not written by this portal."), entry
                )
        elif self._unsealed is None:
            self._unsealed = entry
        if self._previous not in {None, entry.previous}:
            return self._about(
                Kind.REORDERED, _("Entry %d does not follow the one before it."), entry
            )
        if entry.action == BROKEN:
            return self._about(Kind.BROKEN, _("Entry %d says that the log was broken."), entry)
        return None

    def _beyond(self) -> Iterator[Problem]:
        """Those that nobody appended: the head always goes with the last one."""
        newest = AuditEntry.objects.first()
        head = AuditHead.objects.first()
        if newest and head and newest.number > head.number:
            yield Problem(
                Kind.INSERTED,
                _("After the end: %s.") % _numbers(head.number + 1, newest.number),
                head.number + 1,
                newest.number,
            )

    def _about(self, kind: Kind, sentence: str, entry: AuditEntry) -> Problem:
        return Problem(kind, sentence % entry.number, entry.number, entry.number)


def _moved(entry: AuditEntry) -> Problem | None:
    """Where it has only got the number of another one, of those around it."""
    for number in range(max(1, entry.number - AROUND), entry.number + AROUND):
        if chain.digest(entry, number=number) == entry.digest:
            return Problem(
                Kind.REORDERED,
                _("Entry %(number)d was entry %(was)d when it was written.")
                % {"number": entry.number, "was": number},
                entry.number,
                entry.number,
            )
    return None


def _numbers(first: int, last: int) -> str:
    if first == last:
        return _("entry %d") % first
    return _("entries %(first)d to %(last)d") % {"first": first, "last": last}
