"""One download, from permission to the first byte."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from mimetypes import guess_extension

from django.conf import settings
from django.utils import timezone

from streams import origins
from streams.access.identity import Identity
from streams.delivery import conditions, engine
from streams.delivery.conditions import Answer, Asked
from streams.delivery.database import in_database_thread
from streams.delivery.opening import opened_source
from streams.delivery.relay import Relay
from streams.delivery.resuming import ResumingSource
from streams.delivery.source import Source
from streams.models import Download, Endpoint, State
from streams.net.errors import OriginError
from streams.net.pace import Socket
from streams.origins import Credential, Wanted
from streams.wire import disposition


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

    endpoint: Endpoint
    credentials: Sequence[Credential]
    record: Download


def permit(identity: Identity, slug: str, asked: Asked) -> Permitted:
    """Reads an export that this user may have, and begins the record of the download.

    All that a download asks of the database before its first byte happens here, so that it costs
    one change of thread. Raises `NotVisibleError`.
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
    if not asked.head_only:
        record.save(force_insert=True)
    return Permitted(endpoint, _credentials(endpoint), record)


def _credentials(endpoint: Endpoint) -> Sequence[Credential]:
    """What the function may accept now, the current value first."""
    secret = endpoint.secret
    if secret is None:
        return ()
    return [Credential(secret.header, version.value) for version in secret.versions.live()]


async def start(permitted: Permitted, asked: Asked, client: Socket | None) -> Started:
    """Opens the origin and holds the head of the answer until the first byte is here.

    The record will end in the right state whatever happens. `client` is the client's socket, where
    the server gives it to us. Raises `OriginError`.
    """
    shared = engine.current()
    record = permitted.record
    try:
        return await _start(permitted, asked, shared, client)
    except OriginError as exc:
        _fail(shared, record, State.FAILED, exc.code, exc.status)
        raise
    except asyncio.CancelledError:
        _fail(shared, record, State.CANCELLED, "client_left", None)
        raise
    except BaseException:
        _fail(shared, record, State.FAILED, "portal_error", 500)
        raise


async def _start(
    permitted: Permitted, asked: Asked, shared: engine.Engine, client: Socket | None
) -> Started:
    endpoint, record = permitted.endpoint, permitted.record
    origin = origins.build(shared.client, kind=endpoint.kind, auth=endpoint.auth, url=endpoint.url)
    wanted = asked.wanted()

    async def reopened(wanted: Wanted) -> tuple[Source, bytes]:
        # Hours may have passed, and a rotation with them.
        credentials = await in_database_thread(_credentials)(endpoint)
        return await opened_source(
            origin,
            wanted,
            credentials,
            first_byte_timeout=settings.IDLE_TIMEOUT,
            or_whole=False,
        )

    source, first = await opened_source(
        origin, wanted, permitted.credentials, first_byte_timeout=settings.IDLE_TIMEOUT
    )
    now = timezone.now()
    filename = filename_of(endpoint, now, source.opened.headers.get("Content-Type", ""))
    answer = conditions.answer(asked, source.opened, filename=filename)
    if asked.head_only:
        return Started(answer, record, None)
    _fill(record, answer, source.opened, filename, now)
    if answer.status == 304:
        source.abort()
        record.state, record.finished_at = State.COMPLETE, now
        shared.meter.ended(record)
        return Started(answer, record, None)
    resuming = ResumingSource(source, wanted, reopened, delivered=len(first))
    return Started(answer, record, shared.relay(resuming, first, record, client))


def _fill(
    record: Download, answer: Answer, opened: origins.Opened, filename: str, now: datetime
) -> None:
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


def filename_of(endpoint: Endpoint, now: datetime, content_type: str) -> str:
    """The name to save under; `{date}` in the endpoint's own name becomes today's (UTC)."""
    name = endpoint.filename.replace("{date}", now.date().isoformat())
    if not name:
        media_type = content_type.partition(";")[0].strip().lower()
        ending = guess_extension(media_type) if media_type != "application/octet-stream" else ""
        name = endpoint.slug + (ending or "")
    return disposition.safe_name(name, otherwise=endpoint.slug)
