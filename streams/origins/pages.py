"""A paginated JSON API, walked page by page and stitched into one file while it streams."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from streams.net import errors
from streams.net.client import Incoming
from streams.net.errors import BodyError, OriginError
from streams.net.pace import Pace
from streams.origins.base import Credential, Opened, Wanted
from streams.origins.http import (
    Answer,
    HttpOrigin,
    names_in,
    retry_after,
    same_origin,
    with_query,
)
from streams.wire import stitching
from streams.wire.stitching import Number, PageBytes, PageShapeError

MOST_PAGES = 100_000
# In bytes: what is handed out at once, and what is parsed without a thread.
PIECE = 256 * 1024
# How often a page is asked for, and the seconds before the second time; each further one waits
# twice as long.
MOST_ATTEMPTS = 4
PAUSE = 0.25
# Seconds for which a page may keep us waiting in all because the source is too busy: less than the
# silence after which a download is given up.
PATIENCE = 45.0

LINK_HEADER = "link-header"
_PAGE = Wanted(gzip=True)


@dataclass(frozen=True)
class Page:
    """One page, complete and decoded. `url` is where it was found."""

    url: str
    link: str
    data: bytearray


@dataclass(frozen=True)
class PagesOrigin(HttpOrigin):
    """An address whose answer has a list, and says where the next page is."""

    async def open(self, wanted: Wanted, credential: Credential | None) -> Opened:
        """Fetches the first page. Such an export has no ranges: it answers with everything."""
        body = PagesBody(self, with_query(self.target.url, wanted.query), credential)
        await body.load()
        if wanted.head_only:
            body.abort()
        fields = {"Content-Type": body.media_type}
        return Opened(200, fields, length=None, body=body, says_when_complete=True)

    async def page(self, url: str, credential: Credential | None) -> Page:
        """One page, asked for again where that may help. Raises an `OriginError`."""
        attempts = _Attempts()
        while True:
            try:
                return await self._attempted(url, credential)
            except OriginError as exc:
                pause = attempts.pause_after(exc)
            await asyncio.sleep(pause)

    async def _attempted(self, url: str, credential: Credential | None) -> Page:
        answer = await self._send("GET", url, _PAGE, credential)
        try:
            if answer.status not in {200, 203}:
                raise await self.refusal(answer, _PAGE)
            data = await self._read(answer)
        finally:
            answer.body.abort()
        return Page(answer.url, answer.headers.get("link", ""), data)

    async def _read(self, answer: Incoming) -> bytearray:
        loop = asyncio.get_running_loop()
        try:
            page = PageBytes(answer.headers.get("content-encoding", "").strip().lower())
            async with asyncio.timeout(self.client.head_timeout) as silence:
                while chunk := await answer.body.read():
                    page.feed(chunk)
                    silence.reschedule(loop.time() + self.client.head_timeout)
        except PageShapeError as exc:
            raise _misshapen(exc) from exc
        except TimeoutError as exc:
            raise errors.OriginTimeoutError from exc
        except BodyError as exc:
            raise errors.BrokenError from exc
        if not page.complete:
            raise errors.BrokenError
        return page.data

    async def refusal(self, answer: Answer, wanted: Wanted) -> OriginError:
        if answer.status == 503:
            # As often a limit of requests as 429 is, and with the same header.
            return errors.BusyError(retry_after(answer.headers.get("retry-after")))
        if answer.status == 504:
            return errors.BusyServerError(answer.status)
        return await super().refusal(answer, wanted)

    def request_fields(self, wanted: Wanted, credential: Credential | None) -> dict[str, str]:
        accepted = {"Accept": "application/json, */*;q=0.5"}
        return super().request_fields(wanted, credential) | accepted


class _Attempts:
    """How long to wait before a page is asked for again, and whether to."""

    def __init__(self) -> None:
        self._failed = 0
        self._refused = 0
        self._waited = 0.0

    def pause_after(self, exc: OriginError) -> float:
        """Seconds. Raises `exc` where another attempt is not worth it."""
        if isinstance(exc, errors.BusyError):
            pause = float(exc.retry_after or _jittered(2**self._refused))
            self._refused += 1
            self._waited += pause
            if self._waited <= PATIENCE:
                return pause
        elif exc.passing or isinstance(exc, errors.OriginTimeoutError):
            self._failed += 1
            if self._failed < MOST_ATTEMPTS:
                return _jittered(PAUSE * 2 ** (self._failed - 1))
        raise exc


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret


class _Route:
    """Which page follows which. No page is visited twice."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self._next = options["next"]
        self._param: str = options.get("param") or ""
        self._number = options.get("start")
        self._seen: set[bytes] = set()
        self._base = url
        self.first = url if self._number is None else self._numbered()
        self._mark(self.first)

    def after(self, page: Page, value: Any, *, empty: bool) -> str | None:
        """The next page's URL, None after the last. `value` is what the page says.

        Raises `PageShapeError`, or `RedirectError` for another origin.
        """
        url = self._following(page, value, empty)
        if url is not None:
            self._mark(url)
        return url

    def _following(self, page: Page, value: Any, empty: bool) -> str | None:
        if self._number is not None:
            if not stitching.says_more(value, self._next, empty=empty):
                return None
            self._number += 1
            return self._numbered()
        if self._next == LINK_HEADER:
            return _resolved(page.url, stitching.next_link(page.link))
        target = stitching.pointer(value, self._next)
        if target is not None and self._param:
            return _with_parameter(self._base, self._param, target)
        if isinstance(target, Number):
            raise PageShapeError("its next page is a number; name its parameter in `param`")
        return _resolved(page.url, target)

    def _numbered(self) -> str:
        return _with_parameter(self._base, self._param, str(self._number))

    def _mark(self, url: str) -> None:
        # Of a hundred thousand long URLs, only this much each is held.
        digest = sha256(url.encode()).digest()
        if digest in self._seen:
            raise PageShapeError("its next page was there before: they go round in a circle")
        if len(self._seen) >= MOST_PAGES:
            raise PageShapeError(f"more than {MOST_PAGES} pages")
        self._seen.add(digest)


def _with_parameter(url: str, name: str, value: str | Number) -> str:
    """`url` with a query parameter in place of any earlier one of that name."""
    parts = urlsplit(url)
    others = [piece for piece in parts.query.split("&") if name not in names_in(piece)]
    try:
        token = urlencode({name: value}, quote_via=quote)
        return with_query(parts._replace(query="&".join(others)).geturl(), token)
    except UnicodeEncodeError:
        raise PageShapeError("its next page's token is not valid text") from None


def _resolved(url: str, target: str | None) -> str | None:
    """A URL as a page has it, made absolute, and with no character that a request cannot have."""
    if target is None:
        return None
    try:
        return same_origin(url, quote(target.strip(), safe="%/:?#[]@!$&'()*+,;=-._~"))
    except ValueError:
        raise PageShapeError("its next page's URL cannot be read") from None


class PagesBody:
    """The stitched file: an `origins.Body`. Holds one page at a time."""

    def __init__(self, origin: PagesOrigin, url: str, credential: Credential | None) -> None:
        options = origin.target.pages or {}
        self._origin = origin
        self._credential = credential
        self._items = options["items"]
        self._route = _Route(url, options)
        self._stitcher = stitching.stitcher(options["format"], options.get("columns"))
        self._next: str | None = self._route.first
        self._number = 0
        self._ready = b""
        self._at = 0
        self._loading: asyncio.Task[None] | None = None
        self._failure: BodyError | None = None

    @property
    def media_type(self) -> str:
        return self._stitcher.media_type

    async def load(self) -> None:
        """Makes the next page's bytes ready. Raises an `OriginError`."""
        page = await self._page()
        try:
            if len(page.data) > PIECE:
                made = await asyncio.to_thread(self._stitched, page)
            else:
                made = self._stitched(page)
        except PageShapeError as exc:
            raise _misshapen(exc) from exc
        self._ready, self._next = made
        self._at = 0
        self._number += 1

    async def _page(self) -> Page:
        assert self._next is not None
        try:
            return await self._origin.page(self._next, self._credential)
        except errors.ForbiddenError:
            # The first page is tried with every value by whoever opens it. Since then, hours may
            # have passed, and a rotation with them.
            if not self._number or self._origin.reread is None:
                raise
            live = [each for each in await self._origin.reread() if each != self._credential]
            if not live:
                raise
            self._credential = live[0]
            return await self._origin.page(self._next, self._credential)

    def _stitched(self, page: Page) -> tuple[bytes, str | None]:
        """What a page adds to the file, and the URL of the next."""
        value = stitching.parse(page.data)
        # Not needed from here on, and as large as what follows.
        page.data.clear()
        listed = stitching.items(value, self._items)
        following = self._route.after(page, value, empty=not listed)
        data = self._stitcher.add(listed)
        return data if following else data + self._stitcher.end(), following

    async def read(self) -> bytes:
        """At most 256 KiB. Raises `PageFailedError`, or what `fail` was given."""
        while self._failure is None and self._at >= len(self._ready) and self._next is not None:
            self._ready, self._at = b"", 0
            await self._load_unless_failed()
        if self._failure is not None:
            raise self._failure
        piece = self._ready[self._at : self._at + PIECE]
        self._at += len(piece)
        return piece

    async def _load_unless_failed(self) -> None:
        # A task of its own, so that `fail` ends whatever it waits for: a head, a byte, a pause.
        self._loading = asyncio.create_task(self.load())
        try:
            await self._loading
        except OriginError as exc:
            self.fail(errors.PageFailedError(f"page {self._number + 1}: {exc}"))
        except asyncio.CancelledError:
            if self._failure is None:
                raise
        finally:
            self._loading = None

    def fail(self, exc: BodyError) -> None:
        """Makes this and every later `read` raise `exc`, also while it waits to ask again."""
        self._failure = self._failure or exc
        self._ready = b""
        if self._loading is not None:
            self._loading.cancel()

    def set_pace(self, pace: Pace) -> None:
        """A page is read at once, so there is nothing to read ahead."""

    def abort(self) -> None:
        self.fail(errors.TruncatedError("given up"))


def _misshapen(exc: PageShapeError) -> errors.PageError:
    return errors.PageError(f"A page of the source is not what this export declares: {exc}.")
