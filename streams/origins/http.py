"""Any HTTP server: sends one request, and takes an answer only where it is what was asked for."""

import asyncio
import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Protocol
from urllib.parse import (
    SplitResult,
    quote,
    unquote_plus,
    unquote_to_bytes,
    urljoin,
    urlsplit,
    urlunsplit,
)

from streams.aws.account import Account
from streams.net import errors, signing
from streams.net.client import Client, Incoming
from streams.net.signing import Scope
from streams.origins.base import Body, Credential, Opened, Request, Reread, Target, Wanted
from streams.wire import checksums, headers, validators
from streams.wire.checksums import Checksum
from streams.wire.prelude import MEDIA_TYPE
from streams.wire.ranges import Asked, UnsatisfiableError, parse_content_range

USER_AGENT = "Spillway/0.1"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
# How much of an error's body is read to name its cause, and for how long.
ERROR_BYTES = 4096
ERROR_SECONDS = 2.0
LONGEST_WAIT = 3600
# All that is visible in ASCII, but for what would end the query, or is read as `/` by some.
_SENT_AS_IT_IS = "".join(map(chr, range(0x21, 0x7F))).translate({ord("#"): None, ord("\\"): None})


class Answer(Protocol):
    """A response with its head, however it came."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def length(self) -> int | None: ...
    @property
    def body(self) -> Body: ...


@dataclass(frozen=True)
class HttpOrigin:
    """An address that answers GET with the bytes."""

    client: Client
    account: Account
    target: Target
    # For a kind that asks so often that a secret may be rotated meanwhile.
    reread: Reread | None = None

    # The service that a signature is for, where this kind can be signed.
    service: ClassVar[str] = ""
    # How an origin answers HEAD that knows only GET (a presigned URL, a plain handler).
    head_unknown: ClassVar[frozenset[int]] = frozenset({400, 401, 403, 405, 501})

    async def open(self, wanted: Wanted, credential: Credential | None) -> Opened:
        """One attempt; same-origin redirects are followed. Raises an `OriginError`."""
        return await self.open_url(self._url(wanted, credential), wanted, credential)

    async def request(self, wanted: Wanted, credential: Credential | None) -> Request:
        """What `open` would send first, for another program to send. Raises an `OriginError`."""
        url = self._url(wanted, credential)
        fields = self.request_fields(wanted, credential)
        return Request(url, await self.signed("GET", url, fields))

    def _url(self, wanted: Wanted, credential: Credential | None) -> str:
        place = credential.place if credential else ""
        url = with_query(place or self.target.url, wanted.query)
        return signable(url) if self.target.auth == "sigv4" else url

    async def checksum(self, opened: Opened) -> Checksum | None:
        """Only what the head says already."""
        return opened.checksum

    async def open_url(self, url: str, wanted: Wanted, credential: Credential | None) -> Opened:
        method = "HEAD" if wanted.head_only else "GET"
        answer = await self._send(method, url, wanted, credential)
        if wanted.head_only and answer.status in self.head_unknown:
            answer.body.abort()
            answer = await self._send("GET", url, wanted, credential)
        try:
            return await self.opened(answer, wanted)
        except BaseException:
            answer.body.abort()
            raise

    async def _send(
        self, method: str, url: str, wanted: Wanted, credential: Credential | None
    ) -> Incoming:
        fields = self.request_fields(wanted, credential)
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self.client.request(method, url, await self.signed(method, url, fields))
            if answer.status not in REDIRECTS:
                return answer
            answer.body.abort()
            url = self.redirected(url, answer)
        raise errors.RedirectError(f"The source redirected more than {MOST_REDIRECTS} times.")

    def redirected(self, url: str, answer: Answer) -> str:
        """Where a redirect leads. Raises `RedirectError` for another origin."""
        return same_origin(url, answer.headers.get("location", ""))

    async def signed(
        self, method: str, url: str, fields: Mapping[str, str], data: bytes = b""
    ) -> Mapping[str, str]:
        target = self.target
        if target.auth != "sigv4":
            return fields
        keys = await self.account.keys(region=target.region, role_arn=target.role_arn)
        scope = Scope(self.service, target.region)
        return signing.signed(method, url, fields, keys=keys, scope=scope, body=data)

    async def opened(self, answer: Answer, wanted: Wanted) -> Opened:
        if answer.status == 304 and wanted.if_none_match:
            return self._whole(answer, length=0)
        if answer.status == 206:
            return self._part(answer, wanted.range)
        if answer.status in {200, 203}:
            # Behind whatever name: a function may stand there.
            if answer.headers.get("content-type", "").lower().startswith(MEDIA_TYPE):
                raise errors.BufferedError
            return self._whole(answer, length=answer.length)
        if answer.status == 204:
            return self._whole(answer, length=0)
        raise await self.refusal(answer, wanted)

    def _whole(self, answer: Answer, *, length: int | None) -> Opened:
        try:
            fields = headers.passed(answer.headers)
        except headers.CodingError as exc:
            raise errors.ProtocolError("The source's Content-Encoding cannot be read.") from exc
        gzipped = self.target.keep_gzip and fields.get("Content-Encoding") == "gzip"
        if gzipped:
            del fields["Content-Encoding"]
            fields["Content-Type"] = "application/gzip"
        return Opened(
            status=200 if answer.status == 203 else answer.status,
            headers=fields,
            length=length,
            body=answer.body,
            total=length if answer.status != 304 else None,
            etag=validators.parse_etag(answer.headers.get("etag")),
            accepts_ranges=answer.headers.get("accept-ranges", "").strip().lower() == "bytes"
            and "Content-Encoding" not in fields,
            version=answer.headers.get("x-amz-version-id", "").removeprefix("null"),
            checksum=self.announced(answer.headers),
            may_report_failure=True,
            gzipped=gzipped,
            kept_until=self.kept_until(answer.headers),
            dropped=headers.dropped(answer.headers),
        )

    def kept_until(self, fields: Mapping[str, str]) -> datetime | None:
        """When the origin deletes the file: `Expires` tells of caches, and of no file's end."""
        return None

    def announced(self, fields: Mapping[str, str]) -> Checksum | None:
        """The checksum of the whole file that a head tells."""
        return checksums.of_repr_digest(fields)

    def _part(self, answer: Answer, asked: Asked | None) -> Opened:
        """A 206, taken only where it is exactly the part that was asked for."""
        held = parse_content_range(answer.headers.get("content-range"))
        length = answer.length
        if asked is None or held is None or held.range is None:
            raise errors.ProtocolError("The source sent a part that nobody asked for.")
        if length not in {None, held.range.length} or not _is_as_asked(asked, held):
            raise errors.ProtocolError("The source sent another part than it was asked for.")
        whole = self._whole(answer, length=held.range.length)
        return replace(whole, total=held.size, range=held.range, accepts_ranges=True)

    async def refusal(self, answer: Answer, wanted: Wanted) -> errors.OriginError:
        """The error that an answer with no file in it stands for."""
        status = answer.status
        if status == 416 and wanted.range:
            held = parse_content_range(answer.headers.get("content-range"))
            return errors.RangeError(held.size if held else None)
        if status in {401, 403}:
            return self.forbidden(answer, await error_json(answer))
        if status in {404, 410}:
            return errors.NotFoundError()
        if status == 412 and wanted.if_range:
            return errors.ReplacedError()
        if status == 429:
            return errors.BusyError(retry_after(answer.headers.get("retry-after")))
        if status in {500, 502, 503}:
            return errors.BusyServerError(status)
        return errors.StatusError(status)

    def forbidden(self, answer: Answer, body: Any) -> errors.OriginError:
        """Why the origin refused; `body` is the JSON that it sent, if it was some."""
        return refused(self.target)

    def request_fields(self, wanted: Wanted, credential: Credential | None) -> dict[str, str]:
        """The request's header fields, from scratch: nothing that the client sent is among them."""
        keeps_gzip = self.target.keep_gzip
        fields = {
            "Accept": "*/*",
            "User-Agent": USER_AGENT,
            # A coded body has no offsets in the file, so a range asks for the file as it is; unless
            # the coded body is the file.
            "Accept-Encoding": "gzip"
            if keeps_gzip or (wanted.gzip and not wanted.range)
            else "identity",
        }
        if wanted.range:
            fields["Range"] = str(wanted.range)
            if wanted.if_range:
                fields["If-Range"] = wanted.if_range
        if wanted.if_none_match:
            fields["If-None-Match"] = wanted.if_none_match
        if credential:
            fields[credential.header] = credential.value
        return fields


def refused(target: Target) -> errors.ForbiddenError:
    """By the source itself, which does not say why."""
    return errors.BareError() if target.auth == "none" else errors.ForbiddenError()


def _is_as_asked(asked: Asked, held: Any) -> bool:
    if held.size is not None:
        try:
            return bool(asked.within(held.size) == held.range)
        except UnsatisfiableError:
            return False
    # Of an object of unknown size: it must begin where asked, and end no later.
    if asked.first is None:
        return bool(held.range.length <= (asked.last or 0))
    return bool(
        held.range.first == asked.first and (asked.last is None or held.range.last <= asked.last)
    )


def with_query(url: str, query: str) -> str:
    """`url` with the client's query added, byte for byte, but for what no URL may have.

    A parameter that the operator set in the URL stays as it is: the client cannot override it.
    """
    parts = urlsplit(url)
    fixed = [piece for piece in parts.query.split("&") if piece]
    names = {name for piece in fixed for name in names_in(piece)}
    added = query.split("&") if query else []
    text = "&".join(fixed + [piece for piece in added if names.isdisjoint(names_in(piece))])
    path = quote(parts.path or "/", safe="/%~:@!$&'()*+,=-._")
    return urlunsplit((parts.scheme, parts.netloc, path, quote(text, safe=_SENT_AS_IT_IS), ""))


def names_in(piece: str) -> set[str]:
    """The parameter that a piece of a query names; several, where `;` is read as `&`."""
    return {unquote_plus(part.partition("=")[0]) for part in piece.split(";")}


def signable(url: str) -> str:
    """`url` with a query that means the same, in the one form that every signer reads alike."""
    parts = urlsplit(url)
    pairs = (piece.partition("=")[::2] for piece in parts.query.split("&") if piece)
    text = "&".join(f"{_recoded(name)}={_recoded(value)}" for name, value in pairs)
    return urlunsplit(parts._replace(query=text))


def _recoded(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ")), safe="-_.~")


def same_origin(url: str, location: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", location) or "\\" in location:
        # Also where it stands twice: neither of them is meant more than the other.
        raise errors.RedirectError("The source redirects, and not to one valid address.")
    here = urlsplit(url)
    try:
        target = urlsplit(urljoin(url, location))
        same = (target.scheme, target.hostname, _port(target)) == (
            here.scheme,
            here.hostname,
            _port(here),
        )
    except ValueError:
        raise errors.RedirectError from None
    if not same or "@" in target.netloc:
        raise errors.RedirectError(place=_place(target))
    return urlunsplit((*target[:4], ""))


def _place(parts: SplitResult) -> str:
    """Scheme and host, empty where they are not plain: it is the origin that says them."""
    port = f":{parts.port}" if parts.port else ""
    place = f"{parts.scheme}://{parts.hostname}{port}"
    return place if re.fullmatch(r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?", place) else ""


def _port(parts: Any) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def retry_after(header: str | None) -> int | None:
    """Seconds to wait (RFC 9110 section 10.2.3), from 1 to an hour; None where it is not said."""
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        seconds = float(text)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return int(min(max(seconds, 1), LONGEST_WAIT))


async def error_text(answer: Answer) -> bytes:
    """The first bytes of an error, as far as they come soon. Read to name the cause only."""
    held = b""
    try:
        async with asyncio.timeout(ERROR_SECONDS):
            while len(held) < ERROR_BYTES and (chunk := await answer.body.read()):
                held += chunk
    except (TimeoutError, errors.BodyError):
        pass
    return held


async def error_json(answer: Answer) -> Any:
    """The same as JSON, None if it is none."""
    try:
        return json.loads(await error_text(answer))
    except (ValueError, RecursionError):
        return None
