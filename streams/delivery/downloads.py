"""One download, from permission to the first byte."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from mimetypes import guess_extension
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import Max
from django.utils import timezone

from streams import audit, origins
from streams.access.identity import Identity
from streams.access.links import Given, LinkUnusableError, LinkUsedUpError
from streams.delivery import (
    conditions,
    engine,
    limits,
    offload,
    parameters,
    sharing,
    stopping,
    watching,
)
from streams.delivery.conditions import Answer, Asked
from streams.delivery.database import in_database_thread
from streams.delivery.fetching import Fetch, Stream
from streams.delivery.limits import RunningError
from streams.delivery.meter import GATHER
from streams.delivery.offload import Front, Handover
from streams.delivery.parameters import ParametersError
from streams.delivery.proving import ProvingSource
from streams.delivery.relay import Relay
from streams.delivery.remembered import Remembered
from streams.delivery.segments import Plan, SegmentedSource
from streams.delivery.stopping import StoppedError
from streams.models import (
    Accepts,
    Delivery,
    Download,
    Endpoint,
    Rotation,
    Secret,
    SecretFunction,
    ShareLink,
    State,
    User,
)
from streams.net.errors import OriginError, RangeError
from streams.net.pace import Socket
from streams.origins import Credential, Opened, Origin, Reread, S3Origin, Target
from streams.wire import containers, disposition, validators

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R", bound="Permitted | Sequence[Permitted]")

# Seconds within which the end of a download stands in its record, also of one that nginx carried.
WRITTEN = 5 * GATHER
# For a client to follow a redirect. A download that has begun by then goes on.
REDIRECT_SECONDS = 60
_TOLD_BY_S3 = ("Content-Type", "Content-Disposition")


@dataclass(frozen=True)
class Started:
    """The head of an answer, and its body where it has one."""

    answer: Answer
    record: Download
    relay: Relay | None = None
    # Who sends it in our place is told this.
    handover: Handover | None = None


class NotVisibleError(Exception):
    """For this user there is no such export."""


@dataclass(frozen=True)
class Permitted:
    """What a download needs of the registry, read at once."""

    asked: Asked
    endpoint: Endpoint
    credentials: Sequence[Credential]
    record: Download
    # The nginx that may send it, or that has given it back.
    front: Front | None = None


async def patiently(permits: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `permits` gives, in a thread for the database.

    A client asks for the next download the moment it has the last byte of one, and records are
    written in batches. So what runs is counted twice before there are too many.
    """
    try:
        return await _in_thread(permits, *args, **kwargs)
    except (RunningError, LinkUsedUpError):
        await asyncio.sleep(WRITTEN)
        return await _in_thread(permits, *args, **kwargs)


async def _in_thread(permits: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """If the client leaves meanwhile, the thread goes on, and the records that it begins end."""
    job = asyncio.create_task(in_database_thread(permits)(*args, **kwargs))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        job.add_done_callback(_forsake)
        raise


def _forsake(job: asyncio.Task[Any]) -> None:
    """Ends what was permitted to somebody who has left."""
    if job.cancelled() or job.exception():
        return
    given = job.result()
    for permitted in [given] if isinstance(given, Permitted) else given:
        fail(engine.current(), permitted.record, asyncio.CancelledError())


def permit(
    identity: Identity,
    slug: str,
    asked: Asked,
    front: Front | None = None,
    *,
    bundle: UUID | None = None,
) -> Permitted:
    """Reads an export that this user may have, and begins the record of the download.

    All that a download asks of the database before its first byte happens here, so that it costs
    one change of thread. `front` is the nginx that it came through, if it can send exports;
    `bundle` the zip that it is a part of. Raises `NotVisibleError`, `ParametersError` or
    `LimitError`.
    """
    visible = Endpoint.objects.visible_to(identity.user).select_related("secret")
    if identity.token is not None:
        visible = identity.token.opens(visible)
    endpoint = visible.filter(slug=slug).first()
    if endpoint is None:
        raise NotVisibleError
    asked = replace(asked, query=parameters.checked(endpoint, asked.query))
    if front and front.returned:
        record = _returned(identity, endpoint, front.returned)
        return Permitted(asked, endpoint, credentials_of(endpoint), record, front)
    record = _record(endpoint, identity.user)
    record.token, record.bundle = identity.token, bundle
    asked = _allowed(record, asked)
    if not asked.head_only:
        limits.store(record, endpoint, identity.user)
    front = front if offload.is_wanted(endpoint) else None
    return Permitted(asked, endpoint, credentials_of(endpoint), record, front)


def _returned(identity: Identity, endpoint: Endpoint, pk: UUID) -> Download:
    """The record of a download that nginx could not carry out: the portal goes on with it."""
    mine = Download.objects.filter(pk=pk, user=identity.user, endpoint=endpoint)
    taken = mine.filter(state=State.RUNNING, offloaded=True)
    if not taken.update(offloaded=False, seen_at=timezone.now()):
        raise NotVisibleError
    record = mine.get()
    record.source = audit.current()
    return record


def permit_link(text: str, given: Given, asked: Asked) -> Permitted:
    """The same, for whoever comes by a share link.

    Of what was asked for, the link itself says the query. Raises `LinkUnusableError`,
    `PasscodeError` or `LimitError`.
    """
    link = sharing.open_link(text, given)
    # The limits of its maker hold: nobody gets past them by making links.
    record = _record(link.endpoint, link.user)
    record.link = link
    asked = _allowed(record, replace(asked, query=_query_of(link)))
    if asked.head_only:
        sharing.refuse_used_up(record, link)
    else:
        sharing.store(record, link, is_piece=asked.range is not None)
    return Permitted(asked, link.endpoint, credentials_of(link.endpoint), record)


def _query_of(link: ShareLink) -> str:
    try:
        return parameters.checked(link.endpoint, link.query)
    except ParametersError as exc:
        # The export offers other ones by now.
        raise LinkUnusableError from exc


def _record(endpoint: Endpoint, user: User) -> Download:
    record = Download(
        endpoint=endpoint, slug=endpoint.slug, user=user, username=user.get_username()
    )
    record.source = audit.current()
    record.address = record.source.address[:100]
    return record


def _allowed(record: Download, asked: Asked) -> Asked:
    """What may be sent of what is asked for. Raises `LimitError`."""
    if asked.range or asked.again:
        stopping.refuse_resume(record)
    if asked.range and _has_a_bad_copy(record):
        # A resume would make a whole of it that looks good.
        return replace(asked, range=None, if_range=None)
    return asked


def _has_a_bad_copy(record: Download) -> bool:
    """Whether what this user has of this export is known to be bad."""
    mine = Download.objects.filter(
        user=record.user, endpoint=record.endpoint, link=record.link, bundle=None, first=0
    )
    ended = mine.filter(state=State.CORRUPT).aggregate(last=Max("finished_at"))["last"]
    # One that had begun before that is no second attempt, but another copy.
    return ended is not None and not mine.whole().filter(started_at__gte=ended).exists()


def credentials_of(endpoint: Endpoint) -> Sequence[Credential]:
    """What the function may accept now, the current value first."""
    secret = endpoint.secret
    if secret is None:
        return ()
    hold = _hold(secret)
    address = endpoint.url or endpoint.function
    # Read anew for a resume: a rotation may just have found out where its aliases are.
    function = SecretFunction.objects.filter(secret=secret).first()
    return [
        Credential(
            secret.header,
            version.value,
            hold,
            function.place(address, version.alias) if function else "",
        )
        for version in secret.versions.live()
    ]


def _hold(secret: Secret) -> float:
    """Seconds for which a refusal is held: while a function changes over that knows one value."""
    rotating = Rotation.objects.filter(secret=secret, secret__function__accepts=Accepts.ONE).open()
    return settings.ROTATION_HOLD if rotating.exists() else 0.0


async def start(permitted: Permitted, client: Socket | None, caller: str = "") -> Started:
    """Opens the origin and holds the head of the answer until the first byte is here.

    The record will end in the right state whatever happens. `client` is the client's socket, where
    the server gives it to us, `caller` its `traceparent`. Raises `OriginError` or `StoppedError`.
    """
    shared = engine.current()
    record = permitted.record
    watching.begin(record, permitted.endpoint.kind, caller)
    try:
        with shared.waiting([] if permitted.asked.head_only else [record]):
            started = await _start(permitted, shared, client)
    except (OriginError, StoppedError) as exc:
        if record.counted:
            await in_database_thread(sharing.give_back)(record)
        fail(shared, record, exc)
        raise
    except BaseException as exc:
        fail(shared, record, exc)
        raise
    if started.relay is None:
        # It has no body, or nginx sends it.
        watching.end(record)
    return started


async def _start(permitted: Permitted, shared: engine.Engine, client: Socket | None) -> Started:
    asked, endpoint, record = permitted.asked, permitted.endpoint, permitted.record
    origin = _origin(permitted, shared)
    if endpoint.delivery == Delivery.REDIRECT and not asked.head_only:
        return await _redirected(permitted, origin, shared)
    if permitted.front and (handed := await _handed_over(permitted, origin, shared)):
        return handed
    stream, first = await _begun(permitted, origin, shared)
    opened, now = stream.opened, timezone.now()
    filename = filename_of(endpoint, now, opened)
    try:
        answer = conditions.answer(asked, opened, filename=filename)
    except OriginError:
        stream.abort()
        raise
    if permitted.front and not asked.head_only:
        shared.versions.learn(offload.file_of(endpoint, asked), opened)
    if asked.head_only:
        return Started(answer, record)
    _fill(record, answer, opened, filename, now)
    if answer.status == 304:
        stream.abort()
        record.state, record.finished_at = State.COMPLETE, now
        shared.meter.ended(record)
        return Started(answer, record)
    if record.link:
        try:
            await in_database_thread(sharing.begun)(record)
        except BaseException:
            stream.abort()
            raise
    source = _proving(permitted, stream, first, origin, filename, shared.remembered)
    return Started(answer, record, shared.relay(source, record, endpoint, client))


async def _begun(
    permitted: Permitted, origin: Origin, shared: engine.Engine
) -> tuple[Stream, bytes]:
    asked = permitted.asked
    try:
        return await _fetch(permitted, origin, shared).begin(asked.wanted())
    except RangeError:
        # That a client has the wrong version comes before what it asks of it: RFC 9110, 13.2.2.
        if asked.is_pinned:
            conditions.check(asked, await look(permitted))
        raise


def _origin(permitted: Permitted, shared: engine.Engine) -> Origin:
    target, reread = target_of(permitted.endpoint), _rereading(permitted)
    return origins.build(shared.client, shared.account, target, reread)


async def look(permitted: Permitted) -> Opened:
    """What the origin has now, without its bytes. Raises `OriginError`."""
    shared = engine.current()
    wanted = replace(permitted.asked, head_only=True).wanted()
    stream, _ = await _fetch(permitted, _origin(permitted, shared), shared).begin(wanted)
    return stream.opened


async def reopen_whole(permitted: Permitted, version: str) -> ProvingSource:
    """`open_whole`, hours after it was permitted: a rotation may have passed."""
    credentials = await _rereading(permitted)()
    return await open_whole(replace(permitted, credentials=credentials), version)


async def open_whole(permitted: Permitted, version: str = "") -> ProvingSource:
    """All of it, of that version where it has any, with the CRC-32. Raises `OriginError`."""
    shared = engine.current()
    origin = _origin(permitted, shared)
    wanted = replace(permitted.asked.wanted(), version=version)
    stream, first = await _fetch(permitted, origin, shared).begin(wanted)
    name = filename_of(permitted.endpoint, timezone.now(), stream.opened)
    return _proving(permitted, stream, first, origin, name, shared.remembered, crc32=True)


async def _handed_over(
    permitted: Permitted, origin: Origin, shared: engine.Engine
) -> Started | None:
    """Has nginx send it, if nginx can."""
    asked, endpoint, record = permitted.asked, permitted.endpoint, permitted.record
    assert permitted.front is not None
    file = offload.file_of(endpoint, asked)
    if permitted.front.returned:
        shared.versions.given_back(file)
    version = shared.versions.get(file)
    opened = version.opened(asked) if version else None
    if version is None or opened is None:
        return None
    handover = await offload.hand_over(
        shared.client, origin, version, asked.wanted(), permitted.credentials, permitted.front
    )
    if handover is None:
        return None
    now = timezone.now()
    filename = filename_of(endpoint, now, opened)
    answer = conditions.answer(asked, opened, filename=filename)
    _fill(record, answer, opened, filename, now)
    record.first_byte_at = None
    # Now: nginx may give it back, or log its end, before the next batch of the meter.
    await in_database_thread(offload.store)(record, now)
    shared.meter.handed_over(record)
    return Started(answer, record, handover=handover)


async def _redirected(permitted: Permitted, origin: Origin, shared: engine.Engine) -> Started:
    """Sends the client to S3 with a URL of its own. What is not there is told here, as ever."""
    assert isinstance(origin, S3Origin)
    endpoint, record = permitted.endpoint, permitted.record
    looking = replace(permitted.asked, head_only=True)
    opened, now = await look(permitted), timezone.now()
    filename = filename_of(endpoint, now, opened)
    answer = conditions.answer(looking, opened, filename=filename)
    if answer.status != 304:
        told = {name: answer.headers[name] for name in _TOLD_BY_S3 if name in answer.headers}
        url = await origin.presigned(opened.version, told, REDIRECT_SECONDS)
        answer = replace(answer, status=302, headers={"Location": url})
    _fill(record, answer, opened, filename, now)
    record.state = State.COMPLETE if answer.status == 304 else State.REDIRECTED
    record.finished_at = now
    shared.meter.ended(record)
    return Started(answer, record)


def target_of(endpoint: Endpoint) -> Target:
    """What an origin needs to know of an endpoint."""
    return Target(
        kind=endpoint.kind,
        auth=endpoint.auth,
        url=endpoint.url,
        function=endpoint.function,
        bucket=endpoint.bucket,
        key=endpoint.key,
        region=endpoint.region,
        role_arn=endpoint.role_arn,
        follows=endpoint.follows,
        pages=endpoint.pages,
        keep_gzip=endpoint.keep_gzip,
    )


def _rereading(permitted: Permitted) -> Reread:
    async def reread() -> Sequence[Credential]:
        try:
            return await in_database_thread(credentials_of)(permitted.endpoint)
        except DatabaseError as exc:
            # What was known at its beginning, rather than to cut what need not end.
            logger.warning("credentials_not_read", extra={"error": type(exc).__name__})
            return permitted.credentials

    return reread


def _fetch(permitted: Permitted, origin: Origin, shared: engine.Engine) -> Fetch:
    endpoint = permitted.endpoint
    return Fetch(
        origin=origin,
        credentials=permitted.credentials,
        reread=_rereading(permitted),
        timeout=settings.IDLE_TIMEOUT,
        plan=Plan(**endpoint.segments) if endpoint.segments else None,
        memory=shared.memory,
        watch=watching.Watch(shared.figures, endpoint.kind),
    )


def _proving(
    permitted: Permitted,
    stream: Stream,
    first: bytes,
    origin: Origin,
    filename: str,
    remembered: Remembered,
    *,
    crc32: bool = False,
) -> ProvingSource:
    opened = stream.opened
    container = None
    if opened.length is None and opened.range is None:
        described = opened.headers.get
        container = containers.declared(
            described("Content-Type", ""), described("Content-Encoding", ""), filename, first
        )
    # A first segment says nothing of the whole object; the origin is asked while bytes flow.
    lookup = origin.checksum(stream.first) if isinstance(stream, SegmentedSource) else None
    version = None
    if validators.is_strong(opened.etag):
        endpoint, query = permitted.endpoint.pk, permitted.asked.query
        coding = opened.headers.get("Content-Encoding")
        version = (endpoint, query, opened.etag, opened.version, coding)
    return ProvingSource(
        stream, first, container=container, lookup=lookup, version=version, remembered=remembered,
        crc32=crc32,
    )  # fmt: skip


def _fill(record: Download, answer: Answer, opened: Opened, filename: str, now: datetime) -> None:
    record.status = answer.status
    record.size = answer.length
    record.total = opened.total
    record.first = opened.range.first if opened.range else 0
    record.resumable = answer.resumable
    record.kept_until = opened.kept_until
    record.filename = filename
    record.first_byte_at = now


def fail(shared: engine.Engine, record: Download, exc: BaseException) -> None:
    """It ends before its first byte."""
    match exc:
        case OriginError():
            record.state, record.reason, record.status = State.FAILED, exc.code, exc.status
        case StoppedError():
            record.state, record.reason = stopping.STATES[exc.code], exc.code
        case asyncio.CancelledError():
            record.state, record.reason = State.CANCELLED, "client_left"
        case _:
            record.state, record.reason, record.status = State.FAILED, "portal_error", 500
    record.finished_at = timezone.now()
    shared.meter.ended(record)


def filename_of(endpoint: Endpoint, now: datetime, opened: Opened | None = None) -> str:
    """The name to save under; `{date}` in the endpoint's own name becomes today's (UTC)."""
    name = endpoint.filename.replace("{date}", now.date().isoformat())
    if not name:
        content_type = opened.headers.get("Content-Type", "") if opened else ""
        media_type = content_type.partition(";")[0].strip().lower()
        ending = guess_extension(media_type) if media_type != "application/octet-stream" else ""
        name = endpoint.slug + (ending or "")
    if opened and opened.gzipped and not name.endswith(".gz"):
        name += ".gz"
    return disposition.safe_name(name, otherwise=endpoint.slug)
