"""Policies for the browser with every page, who is there, and whose request the audit log has."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from django.utils.functional import SimpleLazyObject

from portal import middleware
from streams import audit
from streams.accounts import second_factor
from streams.models import User

# Until Django 6 brings a setting for it. Our own pages: nothing inline, nothing from elsewhere.
PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# Unfold runs Alpine.js, which evaluates attributes and sets styles. No script stands in a page.
OPERATE = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# No other site takes an answer of ours into its own pages, whatever it is.
RESOURCES = "same-origin"
# What no page here asks a browser for. Passkeys and the clipboard are as browsers have them.
FEATURES = (
    "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), "
    "gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()"
)


def _with_policy(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    policy = OPERATE if request.path.startswith("/operate/") else PAGES
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.setdefault("Cross-Origin-Resource-Policy", RESOURCES)
    response.headers.setdefault("Permissions-Policy", FEATURES)
    return response


@sync_and_async_middleware
def browser_policies(get_response: Callable[[HttpRequest], Any]) -> Callable[..., Any]:
    """Adds the policies of its part of the site to each response that has none of its own."""
    if iscoroutinefunction(get_response):
        call = cast(Callable[[HttpRequest], Awaitable[HttpResponseBase]], get_response)

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            return _with_policy(request, await call(request))

        return markcoroutinefunction(middleware)

    def sync_middleware(request: HttpRequest) -> HttpResponseBase:
        return _with_policy(request, get_response(request))

    return sync_middleware


@sync_and_async_middleware
def audit_source(get_response: Callable[[HttpRequest], Any]) -> Callable[..., Any]:
    """What is recorded while a request is answered bears its address."""
    if iscoroutinefunction(get_response):
        call = cast(Callable[[HttpRequest], Awaitable[HttpResponseBase]], get_response)

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            with audit.of_request(request):
                return await call(request)

        return markcoroutinefunction(middleware)

    def sync_middleware(request: HttpRequest) -> HttpResponseBase:
        with audit.of_request(request):
            answer: HttpResponseBase = get_response(request)
            return answer

    return sync_middleware


class Authentication(middleware.Authentication):
    """The user is looked up when somebody asks for them: `second_factor.admitted`."""

    def process_request(self, request: HttpRequest) -> None:
        found: list[User | AnonymousUser] = []

        def user() -> User | AnonymousUser:
            if not found:
                found.append(second_factor.admitted(request))
            return found[0]

        given: Any = request
        given.user = SimpleLazyObject(user)
        given.auser = sync_to_async(user)
