"""Ctrl+K: whatever somebody may see, by a name, an id or a word of it. Nothing here is stored."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Max, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.http import urlencode
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from streams.admin.base import listed, may_see, staff
from streams.models import (
    ApiToken,
    AuditEntry,
    Channel,
    Checkup,
    DoctorRun,
    Download,
    Endpoint,
    Rotation,
    Secret,
    User,
)

# Of each kind. Where there are more, its list is led to.
SHOWN = 5
# Runs of the doctor that are read for it.
LOOKED_AT = 50
# What of a finding is looked at.
_WORDS = ("id", "subject", "title", "sentence", "fix")
# Characters that are looked for.
LONGEST = 200


@dataclass(frozen=True)
class Hit:
    name: str
    about: str
    link: str


@dataclass(frozen=True)
class Found:
    """Of one kind. `more` is the list that has all of them; empty where these are all."""

    kind: Any
    hits: list[Hit]
    more: str = ""


@never_cache
def page(request: HttpRequest, context: Callable[[], dict[str, Any]]) -> HttpResponse:
    """The page, or for the dialog that is over every page: what was found, alone."""
    term = request.GET.get("s", "").replace("\0", "").strip()[:LONGEST]
    sections = [one for one in _sections(request, term) if one.hits] if term else []
    told = {"term": term, "sections": sections, "count": sum(len(one.hits) for one in sections)}
    if request.headers.get("X-Requested-With") == "live":
        return render(request, "admin/search_found.html", told)
    return render(request, "admin/search.html", context() | told | {"title": _("Search")})


def _sections(request: HttpRequest, term: str) -> Iterator[Found]:
    """At most a query or two for each."""
    yield Found(_("Pages"), _pages(request, term))
    for model, fields, about in _TABLES:
        yield _rows(request, model, fields, about, term)
    yield _downloads(request, term)
    yield Found(_("Findings"), _findings(request, term))
    yield _entries(request, term)


def _pages(request: HttpRequest, term: str) -> list[Hit]:
    return [
        Hit(str(one["name"]), str(app["name"]), one["admin_url"])
        for app in admin.site.get_app_list(request)
        for one in app["models"]
        if term.casefold() in str(one["name"]).casefold() and one["admin_url"]
    ][:SHOWN]


# What is small: part of a name is looked for in all of it. What else is told of each.
_TABLES: list[tuple[type[Model], tuple[str, ...], Callable[[Any], str]]] = [
    (Endpoint, ("title", "slug", "url", "function", "bucket"), lambda one: one.slug),
    (Secret, ("name", "header"), lambda one: one.header),
    (Rotation, ("secret__name",), lambda one: _at(one.started_at)),
    (User, ("username", "email"), lambda one: one.email),
    (Group, ("name",), lambda one: ""),
    (ApiToken, ("key", "name"), lambda one: one.user.username),
    (Channel, ("name", "address"), lambda one: one.get_kind_display()),
]


def _rows(
    request: HttpRequest,
    model: type[Model],
    fields: tuple[str, ...],
    about: Callable[[Any], str],
    term: str,
) -> Found:
    fits = Q(*((f"{field}__icontains", term) for field in fields), _connector=Q.OR)
    rows = listed(request, model).filter(fits).order_by(*model._meta.ordering or ["pk"])
    if model is ApiToken:
        rows = rows.select_related("user")
    found = list(rows[: SHOWN + 1])
    hits = [Hit(str(one), about(one), _page_of(one)) for one in found[:SHOWN]]
    more = _list_of(model, q=term) if len(found) > SHOWN else ""
    return Found(model._meta.verbose_name_plural, hits, more)


def _downloads(request: HttpRequest, term: str) -> Found:
    """One by its id; the latest by the whole name of a user or an export: they are millions."""
    rows = listed(request, Download)
    try:
        rows = rows.filter(pk=UUID(term))
    except ValueError:
        rows = _latest(rows, "-started_at", username=term, slug=term)
    hits = [
        Hit(f"{one.slug}, {one.username}", f"{one.get_state_display()}, {_at(one.started_at)}",
            _page_of(one))
        for one in rows
    ]  # fmt: skip
    return Found(_("Downloads"), hits, _list_of(Download, q=term) if len(hits) == SHOWN else "")


def _entries(request: HttpRequest, term: str) -> Found:
    fields = {"actor": term, "action": term, "what": term}
    if term.isdecimal() and len(term) < 19:
        fields["number"] = term
    rows = _latest(listed(request, AuditEntry), "-number", **fields)
    hits = [
        Hit(f"{one.number} {one.action} {one.what}", f"{one.actor} {_at(one.time)}", _page_of(one))
        for one in rows
    ]
    more = _list_of(AuditEntry, q=term) if len(hits) == SHOWN else ""
    return Found(_("Audit log"), hits, more)


def _latest(rows: QuerySet[Any], newest: str, **fields: str) -> list[Any]:
    """Each field by itself, so that an index has the latest in their order."""
    found = {
        one.pk: one
        for field, value in fields.items()
        for one in rows.filter(**{field: value}).order_by(newest)[:SHOWN]
    }
    key = newest.removeprefix("-")
    return sorted(found.values(), key=lambda one: getattr(one, key), reverse=True)[:SHOWN]


def _findings(request: HttpRequest, term: str) -> list[Hit]:
    """Of the last run of each endpoint that they operate, and of the portal."""
    seen = Q(endpoint__in=Endpoint.objects.operable_by(staff(request)))
    if request.user.has_perm("streams.view_checkup"):
        seen |= Q(endpoint=None)
    elif not may_see(request, Endpoint):
        return []
    last = Checkup.objects.filter(seen).annotate(last=Max("runs")).values("last")
    unwell = DoctorRun.objects.filter(Q(errors__gt=0) | Q(warnings__gt=0), pk__in=last)
    fitting = unwell.filter(report__findings__icontains=term).select_related("checkup__endpoint")
    # What is stored is JSON: its own names and marks fit too, and are not what is meant.
    return [
        Hit(one["sentence"], f"{one['id']}, {one['subject']}", _doctor_of(run.checkup))
        for run in fitting.order_by("pk")[:LOOKED_AT]
        for one in run.report["findings"]
        if any(term.casefold() in str(one[name]).casefold() for name in _WORDS)
    ][:SHOWN]


def _doctor_of(checkup: Checkup) -> str:
    if checkup.endpoint_id is None:
        return reverse("admin:doctor")
    return reverse("admin:streams_endpoint_doctor", args=[checkup.endpoint_id])


def _page_of(row: Model) -> str:
    what = "status" if isinstance(row, Endpoint) else "change"
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_{what}"
    return reverse(name, args=[row.pk])


def _list_of(model: type[Model], **asked: str) -> str:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    return f"{reverse(name)}?{urlencode(asked)}"


def _at(moment: Any) -> str:
    return date_format(localtime(moment), "DATETIME_FORMAT")
