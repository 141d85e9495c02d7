"""Django's own middleware, without a change of thread for each hook.

Django runs the hooks of its middleware in a thread when it serves asynchronously: fourteen changes
of thread a request, 4 ms before the first byte. The hooks of those below only look at the request
and the response; none of them blocks or asks the database, so they run in the event loop.
"""

import logging
import re
import uuid
from typing import Any, cast

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import InterfaceError, OperationalError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponsePermanentRedirect,
    JsonResponse,
)
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware
from django.middleware.security import SecurityMiddleware
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.deprecation import MiddlewareMixin

from portal import log

logger = logging.getLogger(__name__)

# The language that the API and its errors are written in.
FOR_PROGRAMS = "en-gb"
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
# An id that somebody in front gave: nothing that could be more than an id.
_GIVEN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{7,63}")
AWAY_SECONDS = 5
AWAY = {
    "code": "unavailable",
    "message": "The portal does not reach its database at the moment.",
    "hint": "Try again in some seconds.",
    "download_id": "",
}


class Inline(MiddlewareMixin):
    """Runs `process_request` and `process_response` where the request is served."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        hooks: Any = self
        response = None
        if hasattr(self, "process_request"):
            response = hooks.process_request(request)
        if response is None:
            response = await hooks.get_response(request)
        if hasattr(self, "process_response"):
            response = hooks.process_response(request, response)
        answer: HttpResponseBase = response
        return answer


class RequestId(Inline):
    """Every line of the log that is written for a request bears its id, and so does the answer.

    A proxy in front may have given it one (`X-Request-Id`). Anything that does not look like an id
    is not taken: it would be written into each line.
    """

    def process_request(self, request: HttpRequest) -> None:
        given = request.headers.get("X-Request-Id", "")
        known = given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        # For the task that also sends the body, and that ends with it.
        log.bind(request_id=known)
        cast(Any, request).id = known

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        response["X-Request-Id"] = cast(Any, request).id
        return response


class Security(Inline, SecurityMiddleware):
    pass


class Session(SessionMiddleware):
    """In the event loop too, but for a session that has changed: saving it asks the database."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        self.process_request(request)
        response: Any = await cast(Any, self.get_response)(request)
        if request.session.modified:
            saved: HttpResponseBase = await sync_to_async(self.process_response)(request, response)
            return saved
        return self.process_response(request, response)


class Locale(Inline, LocaleMiddleware):
    """Pages in the reader's language. Programs that name none are answered in English.

    A response with `is_foreign` bears somebody else's bytes: its language is not ours to tell.
    """

    def process_request(self, request: HttpRequest) -> None:
        if _is_of_a_program(request):
            translation.activate(FOR_PROGRAMS)
            request.LANGUAGE_CODE = FOR_PROGRAMS
            return
        super().process_request(request)

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if getattr(response, "is_foreign", False):
            return response
        return super().process_response(request, response)


def _is_of_a_program(request: HttpRequest) -> bool:
    """Of the API, whose document is English; or of one that says nothing of languages."""
    names_none = "Accept-Language" not in request.headers
    page = "text/html" in request.headers.get("Accept", "")
    return request.path.startswith("/api/") or (names_none and not page)


class Common(Inline, CommonMiddleware):
    """Lets probes in by any name: they come to an address, whatever the portal's hosts are.

    An encoded slash parts nothing in a path (RFC 3986 section 2.2). The server decodes it all the
    same, and rules of a proxy for some paths would be got past with it. No path of ours has one.
    """

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        if b"%2f" in getattr(request, "scope", {}).get("raw_path", b"").lower():
            raise Http404
        if request.path in PROBES:
            return None
        return super().process_request(request)


class DatabaseAway(Inline):
    """A database that is away for a moment is no fault of the portal's: come again."""

    def process_exception(self, request: HttpRequest, exc: Exception) -> HttpResponseBase | None:
        if not isinstance(exc, OperationalError | InterfaceError):
            return None
        # Its message bears the server's address.
        logger.error("database_away", extra={"path": request.path, "error": type(exc).__name__})
        response: HttpResponse
        if "text/html" in request.headers.get("Accept", ""):
            # Without the request: whose it is, the database would be asked.
            response = HttpResponse(render_to_string("503.html"), status=503)
        else:
            response = JsonResponse({"error": AWAY}, status=503)
        response["Retry-After"] = str(AWAY_SECONDS)
        response["Cache-Control"] = "no-store"
        return response


class Csrf(Inline, CsrfViewMiddleware):
    pass


class Authentication(Inline, AuthenticationMiddleware):
    pass


class Messages(Inline, MessageMiddleware):
    """With messages kept in a cookie: in a session they would ask the database."""


class XFrameOptions(Inline, XFrameOptionsMiddleware):
    pass
