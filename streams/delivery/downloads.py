"""One download, from permission to the first byte."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from mimetypes import guess_extension

from django.conf import settings
from django.utils import timezone

from streams import audit, origins
from streams.access.identity import Identity
from streams.delivery import conditions, engine, limits, stopping
from streams.delivery.conditions import Answer, Asked
from streams.delivery.database import in_database_thread
from streams.delivery.fetching import Fetch, Stream
from streams.delivery.proving import ProvingSource
from streams.delivery.relay import Relay
from streams.delivery.remembered import Remembered
from streams.delivery.segments import Plan, SegmentedSource
from streams.models import (
    Accepts,
    Delivery,
    Download,
    Endpoint,
    Rotation,
    Secret,
    SecretFunction,
    State,
)
from streams.net.errors import OriginError
from streams.net.pace import Socket
from streams.origins import Credential, Opened, Origin, Reread, S3Origin, Target
from streams.wire import containers, disposition, validators

# For a client to follow a redirect. A download that has begun by then goes on.
REDIRECT_SECONDS = 60
_TOLD_BY_S3 = ("Content-Type", "Content-Disposition")


@dataclass(frozen=True)
class Started:
    """The head of an answer, and its body where it has one."""

    answer: Answer
    record: Download
    relay: Relay | None


class NotVisibleError(Exception):
    """For this user there is no such export."""


@dataclass(frozen=True)
class Permitted:
    """What a download needs of the registry, read at once."""

    asked: Asked
    endpoint: Endpoint
    credentials: Sequence[Credential]
    record: Download


def permit(identity: Identity, slug: str, asked: Asked) -> Permitted:
    """Reads an export that this user may have, and begins the record of the download.

    All that a download asks of the database before its first byte happens here, so that it costs
    one change of thread. Raises `NotVisibleError` or `LimitError`.
    """
    visible = Endpoint.objects.visible_to(identity.user).select_related("secret")
    endpoint = visible.filter(slug=slug).first()
    if endpoint is None:
        raise NotVisibleError
    record = Download(
        endpoint=endpoint,
        slug=endpoint.slug,
        user=identity.user,
        username=identity.user.get_username(),
        token=identity.token,
    )
    record.source = audit.current()
    record.address = record.source.address[:100]
    if asked.range:
        stopping.refuse_resume(record)
    if asked.range and _last_was_corrupt(record):
        # A resume would make a whole of it that looks good.
        asked = replace(asked, range=None, if_range=None)
    if not asked.head_only:
        limits.store(record, endpoint, identity.user)
    return Permitted(asked, endpoint, credentials_of(endpoint), record)


def _last_was_corrupt(record: Download) -> bool:
    """Whether what this user has of this export is known to be bad."""
    mine = Download.objects.filter(user=record.user, endpoint=record.endpoint)
    ended = mine.filter(state__in=[State.COMPLETE, State.CORRUPT], first=0)
    return ended.order_by("-started_at").values_list("state", flat=True).first() == State.CORRUPT


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


async def start(permitted: Permitted, client: Socket | None) -> Started:
    """Opens the origin and holds the head of the answer until the first byte is here.

    The record will end in the right state whatever happens. `client` is the client's socket, where
    the server gives it to us. Raises `OriginError`.
    """
    shared = engine.current()
    record = permitted.record
    try:
        return await _start(permitted, shared, client)
    except OriginError as exc:
        _fail(shared, record, State.FAILED, exc.code, exc.status)
        raise
    except asyncio.CancelledError:
        _fail(shared, record, State.CANCELLED, "client_left", None)
        raise
    except BaseException:
        _fail(shared, record, State.FAILED, "portal_error", 500)
        raise


async def _start(permitted: Permitted, shared: engine.Engine, client: Socket | None) -> Started:
    asked, endpoint, record = permitted.asked, permitted.endpoint, permitted.record
    target, reread = target_of(endpoint), _rereading(endpoint)
    origin = origins.build(shared.client, shared.account, target, reread)
    if endpoint.delivery == Delivery.REDIRECT and not asked.head_only:
        return await _redirected(permitted, origin, shared)
    stream, first = await _fetch(permitted, origin, shared).begin(asked.wanted())
    opened = stream.opened
    now = timezone.now()
    filename = filename_of(endpoint, now, opened)
    answer = conditions.answer(asked, opened, filename=filename)
    if asked.head_only:
        return Started(answer, record, None)
    _fill(record, answer, opened, filename, now)
    if answer.status == 304:
        stream.abort()
        record.state, record.finished_at = State.COMPLETE, now
        shared.meter.ended(record)
        return Started(answer, record, None)
    source = _proving(permitted, stream, first, origin, filename, shared.remembered)
    return Started(answer, record, shared.relay(source, record, endpoint, client))


async def _redirected(permitted: Permitted, origin: Origin, shared: engine.Engine) -> Started:
    """Sends the client to S3 with a URL of its own. What is not there is told here, as ever."""
    assert isinstance(origin, S3Origin)
    endpoint, record = permitted.endpoint, permitted.record
    looking = replace(permitted.asked, head_only=True)
    stream, _ = await _fetch(permitted, origin, shared).begin(looking.wanted())
    opened, now = stream.opened, timezone.now()
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
    return Started(answer, record, None)


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


def _rereading(endpoint: Endpoint) -> Reread:
    async def reread() -> Sequence[Credential]:
        return await in_database_thread(credentials_of)(endpoint)

    return reread


def _fetch(permitted: Permitted, origin: Origin, shared: engine.Engine) -> Fetch:
    endpoint = permitted.endpoint
    return Fetch(
        origin=origin,
        credentials=permitted.credentials,
        reread=_rereading(endpoint),
        timeout=settings.IDLE_TIMEOUT,
        plan=Plan(**endpoint.segments) if endpoint.segments else None,
        memory=shared.memory,
    )


def _proving(
    permitted: Permitted,
    stream: Stream,
    first: bytes,
    origin: Origin,
    filename: str,
    remembered: Remembered,
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
        stream, first, container=container, lookup=lookup, version=version, remembered=remembered
    )


def _fill(record: Download, answer: Answer, opened: Opened, filename: str, now: datetime) -> None:
    record.status = answer.status
    record.size = answer.length
    record.total = opened.total
    record.first = opened.range.first if opened.range else 0
    record.resumable = answer.resumable
    record.filename = filename
    record.first_byte_at = now


def _fail(
    shared: engine.Engine, record: Download, state: State, reason: str, status: int | None
) -> None:
    record.state, record.reason, record.status = state, reason, status
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
