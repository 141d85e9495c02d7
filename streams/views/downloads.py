"""`GET` and `HEAD` of an export's bytes."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import render
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt

from streams.access.identity import AnonymousError, UnauthorizedError, identify
from streams.delivery import downloads
from streams.delivery.conditions import Asked
from streams.delivery.database import in_database_thread
from streams.delivery.limits import LimitError
from streams.delivery.relay import Relay
from streams.net import errors
from streams.net.pace import Socket

# Seconds, where the source is too busy and does not say for how long.
UNTOLD_WAIT = 5
# Whatever the bytes are, a browser neither renders nor runs them here, and keeps no copy.
SAFETY = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "private, no-store",
}


class RelayResponse(StreamingHttpResponse):
    """A response whose body is a relay, which Django closes however the response ends.

    Django's own class would wrap the relay in a generator, twice, for each chunk.
    """

    def __init__(self, relay: Relay, **kwargs: Any) -> None:
        super().__init__(relay, **kwargs)
        self._relay = relay

    def __aiter__(self) -> Relay:
        return self._relay


@csrf_exempt  # it changes nothing, and answers other methods with 405
async def download(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The bytes of an export, or an error that says what to do."""
    if request.method not in {"GET", "HEAD"}:
        return HttpResponseNotAllowed(["GET", "HEAD"])
    asked = _asked(request)
    try:
        permitted = await in_database_thread(_permit)(request, slug, asked)
    except UnauthorizedError:
        return _unauthorized("This token is unknown, expired or revoked.")
    except AnonymousError:
        if _is_browser(request):
            return redirect_to_login(request.get_full_path())
        return _unauthorized("Sign in, or send an API token: Authorization: Bearer <token>.")
    except downloads.NotVisibleError:
        return _refusal(request, 404, "not_found", "There is no such export.", "Check the link.")
    except LimitError as exc:
        return _limited(request, exc)
    try:
        started = await downloads.start(permitted, _client_socket(request))
    except errors.OriginError as exc:
        return _origin_error(request, exc, str(permitted.record.pk))
    return _response(started)


def _permit(request: HttpRequest, slug: str, asked: Asked) -> downloads.Permitted:
    return downloads.permit(identify(request), slug, asked)


def _client_socket(request: HttpRequest) -> Socket | None:
    """The connection's socket, which our own server hands down."""
    scope = getattr(request, "scope", {})
    sock: Socket | None = scope.get("extensions", {}).get("spillway.socket")
    return sock


def _asked(request: HttpRequest) -> Asked:
    return Asked(
        query=request.META["QUERY_STRING"],
        range=request.headers.get("Range"),
        if_range=request.headers.get("If-Range"),
        if_none_match=request.headers.get("If-None-Match"),
        accept_encoding=request.headers.get("Accept-Encoding"),
        head_only=request.method == "HEAD",
    )


def _response(started: downloads.Started) -> HttpResponseBase:
    fields = started.answer.headers | SAFETY | {"X-Download-Id": str(started.record.pk)}
    if started.relay is not None:
        return RelayResponse(started.relay, status=started.answer.status, headers=fields)
    # Django would give any other response a length of 0, which is not that of the file.
    response = StreamingHttpResponse(_nothing(), status=started.answer.status, headers=fields)
    if "Content-Type" not in started.answer.headers:
        del response["Content-Type"]
    return response


async def _nothing(pieces: Sequence[bytes] = ()) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _is_browser(request: HttpRequest) -> bool:
    return "text/html" in request.headers.get("Accept", "")


def _unauthorized(message: str) -> HttpResponse:
    error = {"code": "unauthorized", "message": message, "hint": "Make a new token."}
    return JsonResponse(
        {"error": error},
        status=401,
        headers={"WWW-Authenticate": 'Bearer realm="spillway"', "Cache-Control": "no-store"},
    )


def _origin_error(
    request: HttpRequest, exc: errors.OriginError, download_id: str
) -> HttpResponseBase:
    response = _refusal(request, exc.status, exc.code, str(exc), exc.hint, download_id)
    if isinstance(exc, errors.BusyError):
        response["Retry-After"] = str(exc.retry_after or UNTOLD_WAIT)
    if isinstance(exc, errors.RangeError):
        response["Content-Range"] = f"bytes */{'*' if exc.size is None else exc.size}"
    return response


def _limited(request: HttpRequest, exc: LimitError) -> HttpResponse:
    at = date_format(localtime(exc.retry_at), "DATETIME_FORMAT")
    hint = gettext("Try again in %(seconds)d seconds.") % {"seconds": exc.retry_after}
    if exc.retry_after > 120:
        hint = gettext("Try again after %(time)s.") % {"time": at}
    response = _refusal(request, 429, exc.code, str(exc), hint)
    response["Retry-After"] = str(exc.retry_after)
    return response


def _refusal(
    request: HttpRequest, status: int, code: str, message: str, hint: str, download_id: str = ""
) -> HttpResponse:
    """An answer of our own, never an attachment, and nothing of the origin's in it."""
    error = {"code": code, "message": message, "hint": hint, "download_id": download_id}
    response: HttpResponse
    if _is_browser(request):
        response = render(request, "streams/error.html", {"error": error}, status=status)
    else:
        response = JsonResponse({"error": error}, status=status)
    response["Cache-Control"] = "private, no-store"
    if download_id:
        response["X-Download-Id"] = download_id
    return response
