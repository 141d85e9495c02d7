"""Downloads that nginx carries: the portal permits and records, and tells nginx what to fetch.

nginx is fast, and knows little: it resumes nothing, proves nothing, and passes what comes. So it
gets only what needs none of that. The portal sends each version of a file itself first, and what it
saw then decides. Whatever the origin answers but the file, nginx gives back to the portal, which
asks again and says what is wrong. `deploy/nginx-offload.conf` is the other half.
"""

import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from django.conf import settings

from streams.delivery import limits, meter
from streams.delivery.conditions import Asked
from streams.models import Delivery, Download, Endpoint, Kind
from streams.net.client import Client
from streams.net.errors import BodyError, OriginError
from streams.net.pace import Pace
from streams.origins import Credential, HttpOrigin, Opened, Origin, Wanted
from streams.wire import ranges, validators

# For so long nginx is waited for to say how a download ended. After that it holds no place of its
# user's any more; what nginx says still counts.
LONGEST = timedelta(hours=12)
# Other kinds are walked, called or proven, which nginx cannot do.
_KINDS = frozenset({Kind.HTTP, Kind.FUNCTION_URL, Kind.GATEWAY})
# The fields of a request that nginx sends for us, besides the headers of secrets.
SENT = frozenset(
    {"accept", "accept-encoding", "user-agent", "range", "if-match", "authorization", "x-amz-date"}
    | {"x-amz-content-sha256", "x-amz-security-token"}
)
# What nginx keeps of an origin's head from clients. It keeps away only what it knows by name, so
# the portal sends what sends anything else.
_HIDDEN = """
    accept-ranges access-control-allow-credentials access-control-allow-headers
    access-control-allow-methods access-control-allow-origin access-control-expose-headers
    access-control-max-age age allow alt-svc apigw-requestid cache-control clear-site-data
    content-disposition content-language content-location content-security-policy
    content-security-policy-report-only cross-origin-embedder-policy cross-origin-opener-policy
    cross-origin-resource-policy expires link location nel p3p permissions-policy pragma
    referrer-policy refresh report-to server-timing set-cookie strict-transport-security
    timing-allow-origin vary via x-amz-apigw-id x-amz-cf-id x-amz-cf-pop x-amzn-remapped-connection
    x-amzn-remapped-content-length x-amzn-remapped-date x-amzn-requestid x-amzn-trace-id x-cache
    x-content-type-options x-download-id x-frame-options x-powered-by x-request-id x-robots-tag
    x-runtime x-xss-protection
"""
HIDDEN = frozenset(_HIDDEN.split())
# Seconds for which the portal sends a version itself that nginx has given back.
PAUSE = 600.0
# Versions of which a process knows at most so many, as `remembered` does of digests.
MOST = 1024


@dataclass(frozen=True)
class Front:
    """The nginx that a request came through: which headers of secrets it can send.

    `returned` is the download that it gives back, because the origin answered no file.
    """

    headers: frozenset[str]
    returned: UUID | None = None

    @classmethod
    def of(cls, said: str, returned: str) -> Self | None:
        """From what it says of itself: the key and the headers. None for whom we do not know."""
        key, _, names = said.partition(" ")
        if not settings.OFFLOAD_KEY or not hmac.compare_digest(
            key.encode(), settings.OFFLOAD_KEY.encode()
        ):
            return None
        headers = frozenset(filter(None, names.lower().split(",")))
        return cls(headers, UUID(returned) if returned else None)


@dataclass(frozen=True)
class Version:
    """One version of a file, as the portal saw it: `size` is in bytes, `headers` describe it."""

    etag: str
    size: int
    ranged: bool
    headers: Mapping[str, str]
    # By the clock of `time.monotonic`: nginx has given it back, and is not asked again before that.
    not_before: float = 0.0

    @classmethod
    def of(cls, opened: Opened) -> Self | None:
        """None where nginx would not do: it could not tell what is whole, or pass too much."""
        if not opened.length or not validators.is_strong(opened.etag):
            return None
        if "Content-Encoding" in opened.headers or opened.checksum is not None or opened.gzipped:
            return None
        if not opened.dropped <= HIDDEN:
            return None
        headers = dict(opened.headers)
        return cls(str(opened.etag), opened.length, opened.accepts_ranges, headers)

    def opened(self, asked: Asked) -> Opened | None:
        """What the origin is going to open for this request; None where the portal must see it."""
        wanted = ranges.parse(asked.range)
        if asked.head_only or asked.is_pinned or asked.if_none_match or asked.if_range is not None:
            return None
        whole = Opened(
            200, self.headers, self.size, Elsewhere(), total=self.size, etag=self.etag,
            accepts_ranges=self.ranged,
        )  # fmt: skip
        if wanted is None:
            return whole
        if not self.ranged:
            return None
        try:
            span = wanted.within(self.size)
        except ranges.UnsatisfiableError:
            return None
        return replace(whole, status=206, range=span, length=span.length)


class Elsewhere:
    """The body of what nginx sends."""

    async def read(self) -> bytes:
        raise TypeError("nginx has it")

    def fail(self, exc: BodyError) -> None:
        """There is nothing to give up."""

    def set_pace(self, pace: Pace) -> None:
        """Nginx has its own."""

    def abort(self) -> None:
        """There is nothing to drop."""


class Versions:
    """What a process has sent itself lately, of exports that nginx may send."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held: OrderedDict[Hashable, Version] = OrderedDict()

    def learn(self, file: Hashable, opened: Opened) -> None:
        """The portal sends it."""
        if opened.status != 200:
            return
        version, before = Version.of(opened), self._held.pop(file, None)
        if version is None:
            return
        if before is not None and before.etag == version.etag:
            version = replace(version, not_before=before.not_before)
        self._held[file] = version
        if len(self._held) > self._most:
            self._held.popitem(last=False)

    def get(self, file: Hashable) -> Version | None:
        """The version that was sent last, if nginx can send it."""
        version = self._held.get(file)
        return version if version and version.not_before <= time.monotonic() else None

    def given_back(self, file: Hashable) -> None:
        """The origin did not answer nginx as it answers the portal, or has another version."""
        if version := self._held.get(file):
            self._held[file] = replace(version, not_before=time.monotonic() + PAUSE)


@dataclass(frozen=True)
class Handover:
    """What nginx is to fetch: `url` leads to a checked address, whose name is `host`."""

    url: str
    host: str
    fields: Mapping[str, str]


def file_of(endpoint: Endpoint, asked: Asked) -> Hashable:
    """What has versions: the file behind one address, with one query."""
    return endpoint.pk, endpoint.kind, endpoint.url, asked.query


def is_wanted(endpoint: Endpoint) -> bool:
    """Whether nginx may send this export at all."""
    if endpoint.delivery != Delivery.OFFLOAD or endpoint.kind not in _KINDS or endpoint.segments:
        return False
    bounds = (limits.of_endpoint(endpoint), limits.of_user())
    # What counts bytes as they flow.
    return not any(bound.bytes_per_second or bound.daily_bytes for bound in bounds)


def store(record: Download, now: datetime) -> None:
    """From now on the record is nginx's, with all that is known of it, and the meter's no more."""
    record.offloaded = True
    known = {name: getattr(record, name) for name in (*meter.BEGUN, "offloaded")}
    Download.objects.filter(pk=record.pk).update(**known, seen_at=now + LONGEST)


async def hand_over(
    client: Client,
    origin: Origin,
    version: Version,
    wanted: Wanted,
    credentials: Sequence[Credential],
    front: Front,
) -> Handover | None:
    """None where nginx cannot ask this origin; the portal then does, and says what is wrong."""
    assert isinstance(origin, HttpOrigin)
    credential = credentials[0] if credentials else None
    try:
        request = await origin.request(replace(wanted, gzip=False), credential)
        address = ipaddress.ip_address(await client.address(request.url))
    except OriginError:
        return None
    fields = {name.lower(): value for name, value in request.fields.items()}
    # An origin that knows conditions answers 412 where there is another version by now.
    fields["if-match"] = version.etag
    if not fields.keys() <= SENT | front.headers:
        return None
    parts = urlsplit(request.url)
    host = f"[{address}]" if address.version == 6 else str(address)
    place = f"{host}:{parts.port}" if parts.port else host
    url = urlunsplit((parts.scheme, place, parts.path, parts.query, ""))
    return Handover(url, parts.netloc, fields)
