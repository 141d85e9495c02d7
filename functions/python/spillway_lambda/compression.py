"""Gzip on the way out, for those who take it."""

import functools
import re
import time
import zlib
from collections.abc import Iterable, Iterator
from http import HTTPStatus

from spillway_lambda.invocation import Context, Event, headers
from spillway_lambda.streaming import Handler, Response

# More of it costs far more time than it saves bytes.
LEVEL = 6
# In seconds: how long what is made may wait in the compressor.
PATIENCE = 0.5
# Of the coded form neither the length nor the offsets are known; the tag is that of the content.
UNKNOWN = {"content-length", "accept-ranges", "etag"}

_GZIP = 16 + zlib.MAX_WBITS


def gzipped(handler: Handler) -> Handler:
    """`handler`, whose whole answers (200) are gzipped for a caller that accepts gzip.

    Parts, errors and what has a coding already stay as they are. A gzipped answer has no ranges,
    and its `ETag` is weak: it can be revalidated, but never be continued. The same pieces become
    the same bytes, except where a slow source makes the compressor hand out early what it holds.
    """

    @functools.wraps(handler, updated=())
    def gzipping(event: Event, context: Context) -> Response:
        response = handler(event, context)
        if not isinstance(response, Response) or response.status >= HTTPStatus.BAD_REQUEST:
            return response
        fields = dict(response.headers)
        _vary(fields)
        names = {name.lower() for name in fields}
        plain = response.status != HTTPStatus.OK or "content-encoding" in names
        if plain or not accepts(headers(event).get("accept-encoding", "")):
            return Response(response.status, fields, response.cookies, response.body)
        return Response(200, _coded(fields), response.cookies, _Gzipped(response.body))

    return gzipping


def accepts(field: str) -> bool:
    """Whether an `Accept-Encoding` of this value takes gzip (RFC 9110, 12.5.3)."""
    weights = {}
    for each in field.lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        weights[name] = not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", each) for each in parameters)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", False)))


def _vary(fields: dict[str, str]) -> None:
    name = next((name for name in fields if name.lower() == "vary"), "Vary")
    fields[name] = ", ".join(filter(None, [fields.get(name), "Accept-Encoding"]))


def _coded(fields: dict[str, str]) -> dict[str, str]:
    coded = {name: value for name, value in fields.items() if name.lower() not in UNKNOWN}
    tag = next((value for name, value in fields.items() if name.lower() == "etag"), None)
    if tag:
        coded["ETag"] = tag if tag.startswith("W/") else f"W/{tag}"
    return coded | {"Content-Encoding": "gzip"}


class _Gzipped:
    """The coded body. Closes what it is made of, also where nobody has read of it."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        # zlib's own gzip header bears neither a time nor a name.
        coder = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP)
        # In the past, so that the first piece goes out at once.
        sent = -PATIENCE
        for piece in self._body:
            coded = coder.compress(piece)
            if time.monotonic() - sent >= PATIENCE:
                coded += coder.flush(zlib.Z_SYNC_FLUSH)
            if coded:
                sent = time.monotonic()
                yield coded
        yield coder.flush()

    def close(self) -> None:
        if close := getattr(self._body, "close", None):
            close()
