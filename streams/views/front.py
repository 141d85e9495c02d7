"""A file of the portal's own, by which the doctor sees what stands in front of the portal."""

import asyncio
from collections.abc import AsyncIterator

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseNotFound,
    StreamingHttpResponse,
)

from streams.delivery.database import in_database_thread
from streams.doctor import front
from streams.views.downloads import SAFETY
from streams.wire import ranges


async def front_file(request: HttpRequest, token: str) -> HttpResponseBase:
    """The file, with a pause in its middle, or one range of it at once."""
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    if not front.is_signed(token):
        return HttpResponseNotFound("There is no such page.\n", content_type="text/plain")
    address = f"{request.scheme}://{request.get_host()}"
    body = await in_database_thread(front.content)(address)
    # Of a type that proxies like to compress, as they would exports.
    fields = {
        "Content-Type": "application/json", "ETag": front.ETAG, "Accept-Ranges": "bytes", **SAFETY,
    }  # fmt: skip
    asked = ranges.parse(request.headers.get("Range"))
    if asked is None:
        fields["Content-Length"] = str(len(body))
        return StreamingHttpResponse(_halves(body), headers=fields)
    try:
        wanted = asked.within(len(body))
    except ranges.UnsatisfiableError:
        return HttpResponse(status=416)
    fields["Content-Range"] = str(ranges.ContentRange(wanted, len(body)))
    return HttpResponse(body[wanted.first : wanted.last + 1], status=206, headers=fields)


async def _halves(body: bytes) -> AsyncIterator[bytes]:
    middle = len(body) // 2
    yield body[:middle]
    await asyncio.sleep(front.PAUSE)
    yield body[middle:]
