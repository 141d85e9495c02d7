"""The items of an upstream that hands them out page by page."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from spillway_lambda.streaming import HttpError

# Bytes of one page, which is held whole.
LARGEST = 32 * 1024 * 1024
MOST_PAGES = 100_000
# In seconds, of silence.
TIMEOUT = 30.0
ATTEMPTS = 3
PAUSE = 0.5
# The longest that an upstream may make us wait before a page is asked for again.
LONGEST_PAUSE = 20.0

BUSY = {429, 502, 503, 504}


class UpstreamError(HttpError):
    """The upstream could not be walked to its end: a 502 with a code, if nothing was sent yet.

    `upstream_unreachable`, `upstream_refused`, `upstream_misshapen`, `upstream_strayed`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(502, f"upstream_{code}", message)


def items(
    url: str,
    *,
    items: str = "items",
    following: str = "next",
    parameter: str | None = None,
    headers: Mapping[str, str] | None = None,
    most_pages: int = MOST_PAGES,
    timeout: float = TIMEOUT,
) -> Iterator[Any]:
    """Every item of every page, beginning at `url`; one page is held at a time.

    `items` and `following` are dotted paths in a page (JSON): to its list, and to where the next
    page is. That is a URL, whole or relative; or a token, for which `parameter` names the query's
    parameter. Null, an empty text or nothing there ends the walk. `headers` go with each request,
    and no request goes to another origin than the first. Numbers keep their digits (Decimal).
    Raises `UpstreamError`, and never ends early without it.
    """
    upstream = _Upstream(url, dict(headers or {}), timeout)
    page_url: str | None = url
    seen: set[str] = set()
    while page_url:
        number = len(seen) + 1
        if page_url in seen or number > most_pages:
            raise UpstreamError("misshapen", f"Page {number} is one too many: there is no end.")
        seen.add(page_url)
        page = upstream.page(page_url, number)
        listed = _found(page, items)
        if not isinstance(listed, list):
            raise UpstreamError("misshapen", f"Page {number} has no list at {items!r}.")
        yield from listed
        page_url = _next(url, page_url, _found(page, following), parameter)


class _Upstream:
    def __init__(self, url: str, headers: dict[str, str], timeout: float) -> None:
        self._opener = urllib.request.build_opener(_SameOrigin(url))
        self._headers = headers
        self._timeout = timeout

    def page(self, url: str, number: int) -> Any:
        """The page, asked for again where the upstream is busy or breaks off."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _parsed(self._read(url), number)
            except urllib.error.HTTPError as exc:
                if exc.code not in BUSY or attempt == ATTEMPTS:
                    sentence = f"Page {number} was answered {exc.code}."
                    raise UpstreamError("refused", sentence) from exc
                pause = exc.headers.get("Retry-After", "")
            except (OSError, http.client.HTTPException) as exc:
                if attempt == ATTEMPTS:
                    raise UpstreamError("unreachable", f"Page {number} could not be read.") from exc
                pause = ""
            time.sleep(min(float(pause), LONGEST_PAUSE) if pause.isdecimal() else PAUSE * attempt)
        raise AssertionError("the last attempt returns or raises")

    def _read(self, url: str) -> bytes:
        request = urllib.request.Request(url, headers=self._headers)  # noqa: S310 - see `_SameOrigin`
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                data: bytes = answer.read(LARGEST + 1)
                # A read of so many bytes at most does not mind that fewer came.
                if len(data) <= LARGEST and answer.length:
                    raise http.client.IncompleteRead(b"", answer.length)
                return data
        except urllib.error.HTTPError as exc:
            # It is the answer, too, and holds its connection.
            exc.close()
            raise


def _parsed(data: bytes, number: int) -> Any:
    if len(data) > LARGEST:
        raise UpstreamError("misshapen", f"Page {number} is larger than {LARGEST >> 20} MiB.")
    try:
        return json.loads(data, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        # Its own error would hold the whole page.
        raise UpstreamError("misshapen", f"Page {number} is not valid JSON.") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _found(page: Any, path: str) -> Any:
    """What stands at a dotted path, None where nothing does; `.` is the page itself."""
    if path == ".":
        return page
    for name in path.split("."):
        page = page.get(name) if isinstance(page, dict) else None
    return page


def _next(first: str, current: str, said: Any, parameter: str | None) -> str | None:
    if said is None or said == "":
        return None
    if parameter:
        parts = urlsplit(first)
        kept = [
            pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != parameter
        ]
        return parts._replace(query=urlencode([*kept, (parameter, said)])).geturl()
    if not isinstance(said, str):
        raise UpstreamError("misshapen", "The next page is not a URL; name its `parameter`.")
    try:
        url = urljoin(current, said)
        same = _origin(url) == _origin(first)
    except ValueError:
        raise UpstreamError("misshapen", "The next page's URL cannot be read.") from None
    if not same:
        raise UpstreamError("strayed", "The next page is at another origin.")
    return url


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port. Raises `ValueError` for what is no URL."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


class _SameOrigin(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but takes no header of ours to another origin."""

    def __init__(self, url: str) -> None:
        self._origin = _origin(url)
        if self._origin[0] not in {"http", "https"}:
            raise ValueError("An upstream has an http or https URL.")

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if _origin(newurl) != self._origin:
            fp.close()
            raise UpstreamError("strayed", "The upstream redirects to another origin.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
