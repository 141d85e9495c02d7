"""Django with nothing in it but one view: no middleware, no database, no logs."""

import os
from collections.abc import Callable

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponseBase
from django.urls import URLPattern

PLAIN = os.environ["BENCH_ORIGIN_PLAIN"]
TLS = os.environ["BENCH_ORIGIN_TLS"]

View = Callable[..., HttpResponseBase]


def application(apps: list[str], patterns: Callable[[], list[URLPattern]]) -> WSGIHandler:
    """A WSGI application; `patterns` is called when Django is ready for the views' imports."""
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        INSTALLED_APPS=apps,
        LOGGING_CONFIG=None,
        SECRET_KEY=os.urandom(32).hex(),
        USE_TZ=True,
    )
    django.setup(set_prefix=False)
    # A URLconf may be the patterns themselves.
    settings.ROOT_URLCONF = tuple(patterns())
    return WSGIHandler()
