"""Django's own middleware, without a change of thread for each hook.

Django runs the hooks of its middleware in a thread when it serves asynchronously: fourteen changes
of thread a request, 4 ms before the first byte. The hooks of those below only look at the request
and the response; none of them blocks or asks the database, so they run in the event loop.
"""

from typing import Any, cast

from asgiref.sync import sync_to_async
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.locale import LocaleMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.deprecation import MiddlewareMixin


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
    pass


class Common(Inline, CommonMiddleware):
    pass


class Csrf(Inline, CsrfViewMiddleware):
    pass


class Authentication(Inline, AuthenticationMiddleware):
    pass


class Messages(Inline, MessageMiddleware):
    """With messages kept in a cookie: in a session they would ask the database."""


class XFrameOptions(Inline, XFrameOptionsMiddleware):
    pass
