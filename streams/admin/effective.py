"""`/operate/settings/`: what the portal runs with, to be read."""

import platform
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.timezone import get_default_timezone_name
from django.utils.translation import gettext_lazy as _

from portal import VERSION, effective

SOURCES = {
    effective.Source.ENVIRONMENT: _("environment"),
    effective.Source.FILE: _("file"),
    effective.Source.MADE: _("made in the state folder"),
    effective.Source.DEFAULT: _("default"),
}


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("streams.view_checkup"):
        raise PermissionDenied
    context = admin.site.each_context(request) | {
        "title": _("Settings"),
        "facts": _facts(),
        "rows": [
            # Here, and not where the text stands: it is read before there are translations.
            {"setting": one, "meaning": _(one.meaning), "source": SOURCES[one.source]}
            for one in effective.settings(settings.ENV)
        ],
    }
    return render(request, "admin/settings.html", context)


def _facts() -> Iterator[tuple[Any, str]]:
    yield _("Version"), VERSION
    yield _("Database"), _database()
    yield _("Broker"), _broker()
    yield _("State folder"), str(settings.STATE_DIR)
    yield _("Time zone"), get_default_timezone_name()
    yield "Python, Django", f"{platform.python_version()}, {django.get_version()}"


def _database() -> str:
    numbers = connection.get_database_version()
    return f"{connection.display_name} {'.'.join(map(str, numbers))}"


def _broker() -> str:
    """Its kind alone: the address has a password."""
    scheme = urlsplit(settings.CELERY_BROKER_URL).scheme
    names = {"redis": "Redis", "rediss": "Redis", "amqp": "RabbitMQ", "amqps": "RabbitMQ"}
    return names.get(scheme) or str(_("a folder in the state folder"))
