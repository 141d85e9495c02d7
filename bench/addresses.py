"""Every address of the operators' site, as its own URL patterns have them."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.urls import URLPattern, URLResolver

import streams.admin  # noqa: F401 - registers its pages
from streams.models import DoctorRun, Endpoint

ROOT = "/operate/"
# These have a rule of their own, or lead elsewhere.
ELSEWHERE = {"login", "logout", "password_change", "jsi18n", "autocomplete", "view_on_site", None}


def first(model: type[Model]) -> Model | None:
    return model._default_manager.first()


def addresses(
    row_of: Callable[[type[Model]], Model | None] = first,
) -> Iterator[tuple[str | None, str]]:
    """The name and an address of each page, of the row that `row_of` chooses.

    Raises `LookupError` where a page is about a row and there is none.
    """
    rows = {
        f"{model._meta.app_label}/{model._meta.model_name}/": row_of(model)
        for model in admin.site._registry
    }
    for name, route in _walked(admin.site.get_urls()):
        row = next((row for prefix, row in rows.items() if route.startswith(prefix)), None)
        yield name, ROOT + _filled(route, row)


def _walked(patterns: Any, before: str = "") -> Iterator[tuple[str | None, str]]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walked(pattern.url_patterns, route)
        else:
            assert isinstance(pattern, URLPattern)
            yield pattern.name, route


def _filled(route: str, row: Model | None) -> str:
    if route.startswith("doctor/runs/"):
        return f"doctor/runs/{_of(DoctorRun).pk}/0/fix/"
    if route.startswith("r/"):
        kind = ContentType.objects.get_for_model(Endpoint)
        return f"r/{kind.pk}/{_of(Endpoint).pk}/"
    route = re.sub(r"\^\(\?P<app_label>.*\)/\$", "streams/", route)
    route = re.sub(r"\(\?P<url>\.\*\)\$", "nothing/", route)
    if "<" in route and row is None:
        raise LookupError(f"there is no row for {route}")
    return re.sub(r"<[^>]+>", lambda _: str(row and row.pk), route)


def _of(model: type[Any]) -> Any:
    found = first(model)
    if found is None:
        raise LookupError(f"there is no {model.__name__}")
    return found
