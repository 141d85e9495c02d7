"""`GET` and `HEAD` of an export's bytes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

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
from django.utils.translation import gettext, ngettext
from django.views.decorators.csrf import csrf_exempt

from streams.access.guessing import TooManyGuessesError
from streams.access.identity import AnonymousError, UnauthorizedError, identify
from streams.delivery import downloads
from streams.delivery.conditions import Asked
from streams.delivery.limits import LimitError
from streams.delivery.offload import Front, Handover
from streams.delivery.parameters import ParametersError
from streams.delivery.relay import Relay
from streams.delivery.stopping import StoppedError
from streams.net import errors
from streams.net.pace import Socket
from streams.views import wording

# Seconds, where the source is too busy and does not say for how long.
UNTOLD_WAIT = 5
# The internal location of `deploy/nginx-offload.conf`.
NGINX_SENDS = "/-/offload"
TOLD_BY_ORIGIN = frozenset({"Content-Length", "Content-Range", "ETag", "Last-Modified"})
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
    asked = asked_of(request)
    try:
        front = _front(request)
        permitted = await downloads.patiently(_permit, request, slug, asked, front)
    except NOT_PERMITTED as exc:
        return not_permitted(request, exc)
    return await serve(request, permitted)


# What `identify` and `downloads.permit` raise.
NOT_PERMITTED = (
    UnauthorizedError,
    TooManyGuessesError,
    AnonymousError,
    downloads.NotVisibleError,
    ParametersError,
    LimitError,
)


def not_permitted(request: HttpRequest, exc: Exception) -> HttpResponseBase:
    """The answer to somebody who may not have it, or not now, or not so."""
    match exc:
        case UnauthorizedError():
            return _unauthorized("This token is unknown, expired or revoked.")
        case TooManyGuessesError():
            return _guessed_too_often(exc)
        case AnonymousError() if is_browser(request):
            return redirect_to_login(request.get_full_path())
        case AnonymousError():
            return _unauthorized("Sign in, or send an API token: Authorization: Bearer <token>.")
        case downloads.NotVisibleError():
            return _not_found(request)
        case ParametersError():
            hint = gettext("Choose on the export's page what you want of it.")
            return refusal(request, 400, "parameters_invalid", str(exc), hint)
        case LimitError():
            return limited(request, exc)
    raise exc


def _not_found(request: HttpRequest) -> HttpResponse:
    message, hint = gettext("There is no such export."), gettext("Check the link.")
    return refusal(request, 404, "not_found", message, hint)


async def serve(request: HttpRequest, permitted: downloads.Permitted) -> HttpResponseBase:
    """The bytes, or why there are none."""
    try:
        caller = request.headers.get("traceparent", "")
        started = await downloads.start(permitted, client_socket(request), caller)
    except errors.OriginError as exc:
        return origin_error(request, exc, str(permitted.record.pk))
    except StoppedError as exc:
        return stopped(request, exc, str(permitted.record.pk))
    return response(started)


def _permit(
    request: HttpRequest, slug: str, asked: Asked, front: Front | None
) -> downloads.Permitted:
    if is_browser(request):
        # Of a token's bearer, too, a page of an error says who has signed in: it is looked up here.
        bool(request.user.is_authenticated)
    return downloads.permit(identify(request), slug, asked, front)


def _front(request: HttpRequest) -> Front | None:
    said = request.headers.get("X-Spillway-Front", "")
    return Front.of(said, request.headers.get("X-Spillway-Returned", ""))


def client_socket(request: HttpRequest) -> Socket | None:
    """The connection's socket, which our own server hands down."""
    scope = getattr(request, "scope", {})
    sock: Socket | None = scope.get("extensions", {}).get("spillway.socket")
    return sock


def asked_of(request: HttpRequest) -> Asked:
    """What of a request changes what it gets."""
    return Asked(
        query=request.META["QUERY_STRING"],
        range=request.headers.get("Range"),
        if_range=request.headers.get("If-Range"),
        if_none_match=request.headers.get("If-None-Match"),
        accept_encoding=request.headers.get("Accept-Encoding"),
        head_only=request.method == "HEAD",
        again=is_again(request),
        if_match=request.headers.get("If-Match"),
        if_unmodified_since=request.headers.get("If-Unmodified-Since"),
    )


def is_again(request: HttpRequest) -> bool:
    """Whether a browser's list of downloads asks, and no page or person.

    Chromium does, within seconds and up to five times, where a file that had a length was cut. It
    asks from the first byte where there is no strong entity tag. `Save link as` asks so, too.
    """
    fields = request.headers
    return (fields.get("Sec-Fetch-Mode"), fields.get("Sec-Fetch-Dest")) == ("navigate", "empty")


def response(started: downloads.Started) -> HttpResponseBase:
    """The head, and the body where there is one."""
    answer: Any = _carrying(started)
    # What is in the file, and its language, is the origin's.
    answer.is_foreign = True
    return cast(HttpResponseBase, answer)


def _carrying(started: downloads.Started) -> HttpResponseBase:
    fields = started.answer.headers | SAFETY | {"X-Download-Id": str(started.record.pk)}
    if started.handover is not None:
        return _handed_over(started.handover, fields)
    if started.relay is not None:
        return RelayResponse(started.relay, status=started.answer.status, headers=fields)
    # Django would give any other response a length of 0, which is not that of the file.
    empty = StreamingHttpResponse(_nothing(), status=started.answer.status, headers=fields)
    if "Content-Type" not in started.answer.headers:
        del empty["Content-Type"]
    return empty


def _handed_over(handover: Handover, fields: Mapping[str, str]) -> HttpResponse:
    """For nginx alone, which takes these headers for itself (`deploy/nginx-offload.conf`)."""
    # The others are the origin's, and nginx passes them.
    ours = {name: value for name, value in fields.items() if name not in TOLD_BY_ORIGIN}
    response = HttpResponse(headers=ours | {"X-Accel-Redirect": NGINX_SENDS})
    response["X-Spillway-Url"], response["X-Spillway-Host"] = handover.url, handover.host
    for name, value in handover.fields.items():
        response[f"X-Spillway-Send-{name}"] = value
    return response


async def _nothing(pieces: Sequence[bytes] = ()) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def is_browser(request: HttpRequest) -> bool:
    """Whether an error is for a person to read, and a page."""
    return "text/html" in request.headers.get("Accept", "")


def _unauthorized(message: str) -> HttpResponse:
    error = {"code": "unauthorized", "message": message, "hint": "Make a new token."}
    return JsonResponse(
        {"error": error},
        status=401,
        headers={"WWW-Authenticate": 'Bearer realm="spillway"', "Cache-Control": "no-store"},
    )


def _guessed_too_often(exc: TooManyGuessesError) -> HttpResponse:
    hint = f"Try again in {exc.seconds} seconds, with the right token."
    error = {"code": "too_many_guesses", "message": "Wrong tokens too often.", "hint": hint}
    return JsonResponse(
        {"error": error},
        status=429,
        headers={"Retry-After": str(exc.seconds), "Cache-Control": "no-store"},
    )


def origin_error(
    request: HttpRequest, exc: errors.OriginError, download_id: str, whose: str = ""
) -> HttpResponseBase:
    """The origin does not have it. `whose` is the export's title, where several were asked for."""
    named = f"{whose}: " if whose else ""
    told, todo, technical = f"{named}{exc}", exc.hint, ""
    if is_browser(request):
        # People read what it means to them, in their language; operators also what happened.
        words = wording.of(exc.code)
        told, todo, technical = f"{named}{words.what}", str(words.todo), f"{exc} {exc.hint}"
    response = refusal(request, exc.status, exc.code, told, todo, download_id, technical)
    if isinstance(exc, errors.BusyError):
        response["Retry-After"] = str(exc.retry_after or UNTOLD_WAIT)
    if isinstance(exc, errors.RangeError):
        response["Content-Range"] = f"bytes */{'*' if exc.size is None else exc.size}"
    return response


def stopped(request: HttpRequest, exc: StoppedError, download_id: str) -> HttpResponse:
    """Somebody ended it while its first byte was waited for. No program should try again."""
    words = wording.of(exc.code, resumable=False)
    return refusal(request, 409, exc.code, str(words.what), str(words.todo), download_id)


def limited(request: HttpRequest, exc: LimitError) -> HttpResponse:
    """One more is too many."""
    at = date_format(localtime(exc.retry_at), "DATETIME_FORMAT")
    seconds = exc.retry_after
    hint = ngettext(
        "Try again in %(seconds)d second.", "Try again in %(seconds)d seconds.", seconds
    ) % {"seconds": seconds}
    if exc.retry_after > 120:
        hint = gettext("Try again after %(time)s.") % {"time": at}
    response = refusal(request, 429, exc.code, str(exc), hint)
    response["Retry-After"] = str(exc.retry_after)
    return response


def refusal(
    request: HttpRequest,
    status: int,
    code: str,
    message: str,
    hint: str,
    download_id: str = "",
    technical: str = "",
) -> HttpResponse:
    """An answer of our own, never an attachment, and nothing of the origin's in it.

    `technical` is English, and on the pages of those who operate the portal alone.
    """
    error = {"code": code, "message": message, "hint": hint, "download_id": download_id}
    response: HttpResponse
    if is_browser(request):
        context = {"error": error, "technical": technical}
        response = render(request, "streams/error.html", context, status=status)
    else:
        response = JsonResponse({"error": error}, status=status)
    response["Cache-Control"] = "private, no-store"
    if download_id:
        response["X-Download-Id"] = download_id
    return response
