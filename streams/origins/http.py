"""Any HTTP server: sends one request, and takes an answer only where it is what was asked for."""

import asyncio
import contextlib
import email.utils
import json
import re
import time
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, urljoin, urlsplit, urlunsplit

from streams.net import errors
from streams.net.client import Client, Incoming
from streams.origins.base import Credential, Opened, Wanted
from streams.wire import headers, validators
from streams.wire.ranges import Asked, UnsatisfiableError, parse_content_range

USER_AGENT = "Spillway/0.1"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 5
# How much of an error's body is read to name its cause, and for how long.
ERROR_BYTES = 4096
ERROR_SECONDS = 2.0
LONGEST_WAIT = 3600


@dataclass(frozen=True)
class HttpOrigin:
    """An address that answers GET with the bytes."""

    client: Client
    url: str

    may_report_failure: ClassVar[bool] = False

    async def open(self, wanted: Wanted, credential: Credential | None) -> Opened:
        """One attempt; same-origin redirects are followed. Raises an `OriginError`."""
        url = with_query(self.url, wanted.query)
        method = "HEAD" if wanted.head_only else "GET"
        answer = await self._send(method, url, wanted, credential)
        if wanted.head_only and answer.status in {400, 401, 403, 405, 501}:
            # Many origins know only GET (a presigned URL, a plain handler): its head will do.
            answer.body.abort()
            answer = await self._send("GET", url, wanted, credential)
        try:
            return await self._opened(answer, wanted)
        except BaseException:
            answer.body.abort()
            raise

    async def _send(
        self, method: str, url: str, wanted: Wanted, credential: Credential | None
    ) -> Incoming:
        fields = _request_fields(wanted, credential)
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self.client.request(method, url, fields)
            if answer.status not in REDIRECTS:
                return answer
            answer.body.abort()
            url = _same_origin(url, answer.headers.get("location", ""))
        raise errors.RedirectError(f"The source redirected more than {MOST_REDIRECTS} times.")

    async def _opened(self, answer: Incoming, wanted: Wanted) -> Opened:
        if answer.status == 304 and wanted.if_none_match:
            return self._whole(answer, length=0)
        if answer.status == 206:
            return self._part(answer, wanted.range)
        if answer.status in {200, 203}:
            self._check_whole(answer)
            return self._whole(answer, length=answer.body.framing.length)
        if answer.status == 204:
            return self._whole(answer, length=0)
        raise await self._refusal(answer, wanted)

    def _check_whole(self, answer: Incoming) -> None:
        """For a kind that knows answers which are no file although they say 200."""

    def _whole(self, answer: Incoming, *, length: int | None) -> Opened:
        encoded = headers.content_encoding(answer.headers.get("content-encoding"))
        return Opened(
            status=200 if answer.status == 203 else answer.status,
            headers=headers.passed(answer.headers),
            length=length,
            body=answer.body,
            total=length if answer.status != 304 else None,
            etag=validators.parse_etag(answer.headers.get("etag")),
            accepts_ranges=answer.headers.get("accept-ranges", "").strip().lower() == "bytes"
            and not encoded,
            may_report_failure=self.may_report_failure,
        )

    def _part(self, answer: Incoming, asked: Asked | None) -> Opened:
        """A 206, taken only where it is exactly the part that was asked for."""
        held = parse_content_range(answer.headers.get("content-range"))
        length = answer.body.framing.length
        if asked is None or held is None or held.range is None:
            raise errors.ProtocolError("The source sent a part that nobody asked for.")
        if length not in {None, held.range.length} or not _is_as_asked(asked, held):
            raise errors.ProtocolError("The source sent another part than it was asked for.")
        whole = self._whole(answer, length=held.range.length)
        return replace(whole, total=held.size, range=held.range, accepts_ranges=True)

    async def _refusal(self, answer: Incoming, wanted: Wanted) -> errors.OriginError:
        """The error that an answer with no file in it stands for."""
        status = answer.status
        if status == 416 and wanted.range:
            held = parse_content_range(answer.headers.get("content-range"))
            return errors.RangeError(held.size if held else None)
        if status in {401, 403}:
            return self.forbidden(answer, await _error_body(answer))
        if status in {404, 410}:
            return errors.NotFoundError()
        if status == 429:
            return errors.BusyError(retry_after(answer.headers.get("retry-after")))
        if status in {500, 502, 503}:
            return errors.BusyServerError(status)
        return errors.StatusError(status)

    def forbidden(self, answer: Incoming, body: Any) -> errors.OriginError:
        """Why the origin refused; `body` is the JSON that it sent, if it was some."""
        return errors.ForbiddenError()


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


def _request_fields(wanted: Wanted, credential: Credential | None) -> dict[str, str]:
    """The request's header fields, from scratch: nothing that the client sent is among them."""
    fields = {
        "Accept": "*/*",
        "User-Agent": USER_AGENT,
        # A coded body has no offsets in the file, so a range asks for the file as it is.
        "Accept-Encoding": "gzip" if wanted.gzip and not wanted.range else "identity",
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


def with_query(url: str, query: str) -> str:
    """`url` with the client's parameters added.

    A parameter that the operator set in the URL stays as it is: the client cannot override it.
    """
    parts = urlsplit(url)
    fixed = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in fixed}
    added = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in names]
    # `~` and no `+`: the one form that every signer reads alike.
    text = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in fixed + added)
    path = quote(parts.path or "/", safe="/%~:@!$&'()*+,=-._")
    return urlunsplit((parts.scheme, parts.netloc, path, text, ""))


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")


def _same_origin(url: str, location: str) -> str:
    here, there = urlsplit(url), urljoin(url, location)
    try:
        target = urlsplit(there)
        same = (target.scheme, target.hostname, _port(target)) == (
            here.scheme,
            here.hostname,
            _port(here),
        )
    except ValueError:
        same = False
    if not location or not same or "\\" in location or "@" in target.netloc:
        raise errors.RedirectError
    return urlunsplit((*target[:4], ""))


def _port(parts: Any) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def retry_after(header: str | None) -> int:
    """Seconds to wait (RFC 9110 section 10.2.3), from 1 to an hour; 5 where it is not said."""
    text = (header or "").strip()
    seconds = 5.0
    if re.fullmatch(r"[0-9]{1,9}", text):
        seconds = float(text)
    elif text:
        with contextlib.suppress(ValueError):
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    return int(min(max(seconds, 1), LONGEST_WAIT))


async def _error_body(answer: Incoming) -> Any:
    """The first bytes of an error as JSON, None if they are none. Read to name the cause only."""
    held = b""
    try:
        async with asyncio.timeout(ERROR_SECONDS):
            while len(held) < ERROR_BYTES and (chunk := await answer.body.read()):
                held += chunk
        return json.loads(held)
    except (TimeoutError, errors.BodyError, ValueError, RecursionError):
        return None
