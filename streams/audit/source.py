"""By which way something is done: a request and its address, a command, or a worker."""

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from celery import current_task
from django.conf import settings
from django.http import HttpRequest

from streams.models import How, Source

_REQUEST: ContextVar[Source | None] = ContextVar("audit_request", default=None)


@contextmanager
def of_request(request: HttpRequest) -> Iterator[None]:
    """What is recorded within is done by this request."""
    token = _REQUEST.set(Source(How.WEB, address_of(request)))
    try:
        yield
    finally:
        _REQUEST.reset(token)


def current() -> Source:
    """By which way we are here."""
    if (request := _REQUEST.get()) is not None:
        return request
    return Source(How.WORKER if current_task else How.COMMAND, _host())


def address_of(request: HttpRequest) -> str:
    """The client's address, of the connection or as the proxy in front says."""
    if settings.SECURE_PROXY_SSL_HEADER:
        # There is a proxy in front, which adds its own client at the end. What stands before that
        # is what the client says of itself.
        forwarded = request.headers.get("X-Forwarded-For", "")
        if last := forwarded.rpartition(",")[2].strip():
            return last
    return str(request.META.get("REMOTE_ADDR") or "")


@cache
def _host() -> str:
    try:
        account = getpass.getuser()
    except (KeyError, OSError):
        # In a container, an account may have a number and no name.
        account = str(os.getuid())
    return f"{account}@{socket.gethostname()}"
