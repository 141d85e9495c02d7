"""Several exports in one answer: from permission to the first byte of the zip."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from streams.access.identity import Identity
from streams.delivery import downloads, engine, stopping, watching
from streams.delivery.conditions import Answer, Asked
from streams.delivery.database import in_database_thread
from streams.delivery.digests import Parts
from streams.delivery.downloads import NotVisibleError, Permitted, Started
from streams.delivery.limits import LimitError
from streams.delivery.parameters import ParametersError
from streams.delivery.proving import ProvingSource
from streams.delivery.relay import Relay
from streams.delivery.zipping import MANIFEST, NOT_REACHED, Member, Zip, end
from streams.models import Download, State
from streams.net.errors import CodedError, OriginError, PreconditionError
from streams.net.pace import Socket
from streams.origins import Opened
from streams.wire import disposition, validators

# A zip has so many exports at most: each keeps a place among its own downloads until its turn is
# over.
MOST = 100
# Origins that are looked at, at a time, before the zip is begun.
LOOKS = 8


class MemberUnavailableError(Exception):
    """An origin does not have its export, and nothing was sent yet."""

    def __init__(self, permitted: Permitted, cause: OriginError) -> None:
        super().__init__(f"{permitted.endpoint.title}: {cause}")
        self.permitted = permitted
        self.cause = cause


def permit(
    identity: Identity, wanted: Sequence[str], *, again: bool = False, if_match: str | None = None
) -> Sequence[Permitted]:
    """Reads exports that this user may have, and begins the record of each.

    Each of `wanted` is a slug, or a slug and a query: `orders?year=2026`. Where one may not be had,
    none is: raises what `downloads.permit` does, with its name; or `PreconditionError`, since a zip
    has no tag that `if_match` could name. `again`: by no person's doing.
    """
    if again:
        stopping.refuse_zip_again(identity.user)
    bundle = uuid4()
    # In one order for all who ask: each waits for the rows that another one holds.
    with transaction.atomic():
        permitted = {text: _permitted(identity, text, bundle) for text in sorted(wanted)}
        if if_match is not None and not validators.matches(if_match, None):
            raise PreconditionError
    return [permitted[text] for text in wanted]


def _permitted(identity: Identity, text: str, bundle: UUID) -> Permitted:
    slug, _, query = text.partition("?")
    asked = Asked(query, None, None, None, None, head_only=False)
    try:
        return downloads.permit(identity, slug, asked, bundle=bundle)
    except NotVisibleError as exc:
        raise NotVisibleError(slug) from exc
    except ParametersError as exc:
        raise ParametersError(f"{slug}: {exc}") from exc
    except LimitError as exc:
        raise type(exc)(exc.code, f"{slug}: {exc}", exc.retry_after) from exc


async def start(permitted: Sequence[Permitted], client: Socket | None, caller: str = "") -> Started:
    """Looks at every origin, opens the first one, and begins the zip.

    Every record will end in the right state whatever happens. `client` and `caller` are as with
    `downloads.start`. Raises `MemberUnavailableError`, or `StoppedError`.
    """
    shared = engine.current()
    try:
        with shared.waiting([one.record for one in permitted]):
            return await _start(permitted, shared, client, caller)
    except BaseException as exc:
        _fail(permitted, shared, exc)
        raise


def _fail(permitted: Sequence[Permitted], shared: engine.Engine, exc: BaseException) -> None:
    """One of them failed, or whoever waits for all has left; the others had no turn."""
    failed, cause = permitted[0], exc
    if isinstance(exc, MemberUnavailableError):
        failed, cause = exc.permitted, exc.cause
    downloads.fail(shared, failed.record, cause)
    for other in permitted:
        if other is not failed:
            end(other.record, State.CANCELLED, NOT_REACHED)
            shared.ended(other.record)


async def _start(
    permitted: Sequence[Permitted], shared: engine.Engine, client: Socket | None, caller: str
) -> Started:
    first, *others = permitted
    looked = await _look_at(others)
    watching.begin(first.record, first.endpoint.kind, caller)
    try:
        source = await downloads.open_whole(first)
    except OriginError as exc:
        raise MemberUnavailableError(first, exc) from exc
    now = timezone.now()
    try:
        members = _members(permitted, [source.opened, *looked], now)
        await in_database_thread(_tell)(members)
        return _begin(members, source, shared, client, caller, now)
    except BaseException:
        source.abort()
        raise


async def _look_at(permitted: Sequence[Permitted]) -> Sequence[Opened]:
    """What each origin has, without its bytes: hours may pass until its turn comes."""
    few = asyncio.Semaphore(LOOKS)

    async def look(one: Permitted) -> Opened:
        async with few:
            try:
                return await downloads.look(one)
            except OriginError as exc:
                raise MemberUnavailableError(one, exc) from exc

    looks = [asyncio.ensure_future(look(one)) for one in permitted]
    try:
        return await asyncio.gather(*looks)
    finally:
        for pending in looks:
            pending.cancel()


def _members(
    permitted: Sequence[Permitted], opened: Sequence[Opened], now: datetime
) -> Sequence[Member]:
    names = [_filename(one, seen, now) for one, seen in zip(permitted, opened, strict=True)]
    told = disposition.told_apart(names, taken=[MANIFEST])
    return [Member(*one) for one in zip(permitted, opened, told, strict=True)]


def _filename(permitted: Permitted, opened: Opened, now: datetime) -> str:
    name = downloads.filename_of(permitted.endpoint, now, opened)
    # Nobody decodes it on the way, as a browser would.
    coding = opened.headers.get("Content-Encoding")
    if coding not in {None, "gzip"}:
        # Nothing in a zip says so.
        raise MemberUnavailableError(permitted, CodedError(str(coding)))
    return disposition.safe_name(f"{name}.gz") if coding else name


def _tell(members: Sequence[Member]) -> None:
    """Names and sizes are known, and shown before their turns."""
    for member in members:
        record = member.record
        record.filename, record.size = member.name[:255], member.looked.length
        Download.objects.filter(pk=record.pk).update(filename=record.filename, size=record.size)


def _begin(
    members: Sequence[Member],
    source: ProvingSource,
    shared: engine.Engine,
    client: Socket | None,
    caller: str,
    now: datetime,
) -> Started:
    bundle = members[0].record.bundle
    throttles = shared.throttles

    async def read(member: Member) -> ProvingSource:
        watching.begin(member.record, member.permitted.endpoint.kind, caller)
        return await downloads.reopen_whole(member.permitted, member.looked.version)

    def began(member: Member) -> None:
        relay.slow_down(throttles.enter(member.record, member.permitted.endpoint))
        shared.meter.began(member.record)

    def member_ended(record: Download, parts: Parts | None) -> None:
        if relay.throttle is not None:
            throttles.leave(relay.throttle)
            relay.slow_down(None)
        shared.ended(record, parts)

    def ended(relay: Relay) -> None:
        body.ended(State(relay.record.state), relay.record.reason)

    body = Zip(members, source, read, began, member_ended, now)
    whole = Download(pk=bundle, slug="", size=body.length, filename=name_of(now))
    records = [member.record for member in members]
    relay = shared.relay_of_many(body, whole, records, ended, client)
    return Started(_answer(whole), whole, relay)


def _answer(whole: Download) -> Answer:
    """It is made for this one answer: nothing of it could be asked for again."""
    fields = {
        "Content-Type": "application/zip",
        "Content-Disposition": disposition.attachment(whole.filename),
        "Accept-Ranges": "none",
    }
    if whole.size is not None:
        fields["Content-Length"] = str(whole.size)
    return Answer(200, fields, whole.size, resumable=False)


def name_of(made_at: datetime) -> str:
    """The zip's own file name."""
    return f"exports-{made_at.date().isoformat()}.zip"
