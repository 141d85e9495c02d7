"""The bytes of several exports as one zip: each from its own origin, when its turn has come.

Nothing of it is kept: while the client does not read, the origin of the one whose turn it is waits.
"""

import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from django.utils import timezone

from streams.delivery.digests import Parts
from streams.delivery.downloads import Permitted
from streams.delivery.proving import ProvingSource
from streams.models import Download, Proof, State
from streams.net.errors import BodyError, ChangedError, OriginError, TruncatedError
from streams.net.pace import NARROW, Pace
from streams.origins import Opened
from streams.wire import zips

MANIFEST = "manifest.json"
# What a record bears whose turn never came: the zip had ended before.
NOT_REACHED = "not_reached"


@dataclass(frozen=True)
class Member:
    """One export, as its origin told of it before the zip was begun."""

    permitted: Permitted
    looked: Opened
    # In the zip, where no other one has it.
    name: str

    @property
    def record(self) -> Download:
        return self.permitted.record

    @property
    def modified(self) -> datetime | None:
        """When its origin says that it was changed last."""
        try:
            return parsedate_to_datetime(self.looked.headers["Last-Modified"]).astimezone(UTC)
        except (KeyError, ValueError, OverflowError):
            return None

    def check(self, opened: Opened) -> None:
        """Raises `ChangedError` where this is another version than was told of."""
        looked = self.looked
        if looked.headers.get("Content-Encoding") != opened.headers.get("Content-Encoding"):
            raise ChangedError("its coding is another one than before the zip was begun")
        if looked.etag and opened.etag and looked.etag != opened.etag:
            raise ChangedError("its entity tag is another one than before the zip was begun")
        if None not in {looked.length, opened.length} and looked.length != opened.length:
            raise ChangedError("its length is another one than before the zip was begun")

    def told(self, *, draft: bool) -> dict[str, Any]:
        """For the manifest. A draft is as long as what can come of it."""
        record = self.record
        return {
            "name": self.name,
            "export": record.slug,
            "parameters": self.permitted.asked.query,
            "download": str(record.pk),
            "size": self.looked.length if draft else record.sent,
            "sha256": "0" * 64 if draft else record.sha256 or None,
            "proof": max(Proof.values, key=len) if draft else record.proof,
            "etag": self.looked.etag,
            "last_modified": self.modified.isoformat() if self.modified else None,
        }


class MemberError(BodyError):
    """An export could not be had when its turn came."""

    def __init__(self, cause: OriginError) -> None:
        super().__init__(str(cause))
        self.code = cause.code


class Zip:
    """A source for a relay, and the keeper of its members' records. `ended` must be called."""

    def __init__(
        self,
        members: Sequence[Member],
        first: ProvingSource,
        read: Callable[[Member], Awaitable[ProvingSource]],
        began: Callable[[Member], None],
        ended: Callable[[Download, Parts | None], None],
        made_at: datetime,
    ) -> None:
        """`first` is the source of the first one, and `read` opens those of the others.

        `began` is told when the bytes of one begin, `ended` that a record has its last state.
        """
        self.resumes = 0
        # Nobody digests the whole of it: what is in it has digests of its own.
        self.sha256, self.parts = b"", Parts(0)
        self._members = members
        self._left = deque(members)
        self._first: ProvingSource | None = first
        self._read, self._began, self._told_end = read, began, ended
        self._made_at = made_at
        self._writer = zips.Writer()
        # Whose turn it is: the last one whose turn came, until its record has ended.
        self._member: Member | None = None
        self._source: ProvingSource | None = None
        self._parts: Parts | None = None
        # Bytes of its that were read, and count as sent once more are asked for.
        self._pending = 0
        self._pace = NARROW
        self._is_finished = False
        self.length = self._length()

    def _length(self) -> int | None:
        """Of the whole zip, in bytes; None where that of an export is not known."""
        sizes = [(member.name, member.looked.length) for member in self._members]
        known = [(name, size) for name, size in sizes if size is not None]
        if len(known) < len(sizes):
            return None
        return zips.length([*known, (MANIFEST, len(self._manifest(draft=True)))])

    @property
    def proof(self) -> Proof:
        """As good as the least of what is in it."""
        if {Proof.NONE, Proof.LINE} & {Proof(member.record.proof) for member in self._members}:
            return Proof.NONE
        return Proof.ZIP if self.length is None else Proof.LENGTH

    async def read(self) -> bytes:
        """The next bytes, empty at the end. Raises `BodyError`."""
        if self._member is None or self._source is None:
            return await self._next()
        record = self._member.record
        record.sent += self._pending
        record.resumes = self._source.resumes
        chunk = await self._source.read()
        self._pending = len(chunk)
        size = self._member.looked.length
        if size is not None and record.sent + len(chunk) > size:
            raise TruncatedError("more bytes than the origin announced")
        return chunk or self._after(record, self._source)

    async def _next(self) -> bytes:
        """What stands before the next one's bytes; in the end, all that follows the last one's."""
        if not self._left:
            return self._rest()
        if self._member is not None:
            self._end(self._member.record, State.COMPLETE)
        member = self._member = self._left.popleft()
        self._source = await self._opened(member)
        self._source.set_pace(self._pace)
        record, opened = member.record, self._source.opened
        record.size = member.looked.length if opened.length is None else opened.length
        record.total, record.status = opened.total, opened.status
        record.kept_until = opened.kept_until
        # Its turn: what it waited for was nothing of its own source's.
        record.started_at = record.first_byte_at = timezone.now()
        self._began(member)
        modified = member.modified or self._made_at
        return self._writer.begin(member.name, member.looked.length, modified)

    async def _opened(self, member: Member) -> ProvingSource:
        source, self._first = self._first, None
        try:
            source = source or await self._read(member)
        except OriginError as exc:
            member.record.status = exc.status
            self._end(member.record, State.FAILED, exc.code)
            raise MemberError(exc) from exc
        try:
            member.check(source.opened)
        except ChangedError:
            source.abort()
            raise
        return source

    def _after(self, record: Download, source: ProvingSource) -> bytes:
        """All bytes of one have been sent: what stands after them."""
        if record.size is not None and record.size != record.sent:
            raise TruncatedError("the origin sent another length than it announced")
        record.proof, record.sha256 = source.proof, source.sha256.hex()
        self._parts, self._source = source.parts, None
        return self._writer.end(record.sent, source.crc32)

    def _rest(self) -> bytes:
        """The manifest and the directory, once. The last one's record ends with the zip."""
        if self._is_finished:
            return b""
        self._is_finished = True
        manifest = self._manifest()
        if self.length is not None:
            # As long as was said; a reader of JSON passes over spaces.
            manifest = manifest.ljust(len(self._manifest(draft=True)))
        before = self._writer.begin(MANIFEST, len(manifest), self._made_at)
        after = self._writer.end(len(manifest), zips.crc32(manifest))
        return before + manifest + after + self._writer.finish()

    def _manifest(self, *, draft: bool = False) -> bytes:
        files = [member.told(draft=draft) for member in self._members]
        told = {"made_at": self._made_at.isoformat(timespec="seconds"), "files": files}
        return (json.dumps(told, indent=2) + "\n").encode()

    def ended(self, state: State, reason: str) -> None:
        """The zip has ended so, and with it the one whose turn it was; no other one begins."""
        if self._member is not None:
            self._end(self._member.record, state, reason)
        for member in self._left:
            self._end(member.record, State.CANCELLED, NOT_REACHED)

    def _end(self, record: Download, state: State, reason: str = "") -> None:
        self._member = None
        end(record, state, reason)
        self._told_end(record, self._parts if state is State.COMPLETE else None)

    def fail(self, exc: BodyError) -> None:
        """Opening has limits of its own."""
        if self._source is not None:
            self._source.fail(exc)

    def set_pace(self, pace: Pace) -> None:
        self._pace = pace
        if self._source is not None:
            self._source.set_pace(pace)

    def abort(self) -> None:
        for source in (self._first, self._source):
            if source is not None:
                source.abort()


def end(record: Download, state: State, reason: str) -> None:
    """Gives a record its last state."""
    record.state, record.reason = state, reason
    record.finished_at = timezone.now()
    if reason == NOT_REACHED:
        # It did not run while it waited.
        record.started_at = record.finished_at
