"""A content security policy for every page, and whose request it is for the audit log."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from streams import audit

# Until Django 6 brings a setting for it. Our own pages: nothing inline, nothing from elsewhere.
PAGES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# Unfold runs Alpine.js, which evaluates attributes and sets styles.
OPERATE = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def _with_policy(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if "Content-Security-Policy" not in response:
        policy = OPERATE if request.path.startswith("/operate/") else PAGES
        response["Content-Security-Policy"] = policy
    return response


@sync_and_async_middleware
def content_security_policy(get_response: Callable[[HttpRequest], Any]) -> Callable[..., Any]:
    """Adds the policy of its part of the site to each response that has none of its own."""
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
