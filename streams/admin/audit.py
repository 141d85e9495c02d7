"""The audit log: to be read, searched, exported and verified."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from streams.admin.base import RecordingAdmin, staff
from streams.audit.verifying import verify
from streams.delivery.database import in_database_thread
from streams.models import AuditEntry, Endpoint

COLUMNS = (
    "number", "time", "actor", "how", "address", "action", "what", "details", "previous",
    "key_id", "digest", "seal",
)  # fmt: skip
# Entries that are read, and sent, at a time.
PAGE = 1000


@admin.register(AuditEntry)
class AuditEntryAdmin(RecordingAdmin):
    list_display = ("number", "at", "actor", "action", "what", "told", "how", "address")
    list_filter = ("how", "time", ("action", admin.AllValuesFieldListFilter))
    search_fields = ("actor", "action", "what", "address")
    fields = COLUMNS
    show_full_result_count = False
    actions = None
    list_per_page = 50
    list_before_template = "admin/streams/auditentry/above.html"

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("csv/", wrap(self.csv), name="streams_auditentry_csv"),
            path("json/", wrap(self.json), name="streams_auditentry_json"),
            path("verify/", wrap(self.verify), name="streams_auditentry_verify"),
            *super().get_urls(),
        ]

    @admin.display(description=_("time"), ordering="time")
    def at(self, entry: AuditEntry) -> str:
        return f"{localtime(entry.time):%Y-%m-%d %H:%M:%S}"

    @admin.display(description=_("details"))
    def told(self, entry: AuditEntry) -> str:
        return "; ".join(f"{name}: {value}" for name, value in entry.details.items())

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # It names everything: who is kept from one endpoint is kept from it.
        allowed: bool = super().has_view_permission(request, obj)
        return allowed and not Endpoint.objects.closed_to(staff(request)).exists()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def csv(self, request: HttpRequest) -> HttpResponseBase:
        """What the list shows with these filters, all of it."""
        return _streamed(self._listed(request), _csv, "text/csv", "audit.csv", ",".join(COLUMNS))

    def json(self, request: HttpRequest) -> HttpResponseBase:
        """The same, one JSON object a line."""
        return _streamed(self._listed(request), _json, "application/x-ndjson", "audit.ndjson")

    def verify(self, request: HttpRequest) -> HttpResponse:
        """Reads the whole log when the button is pressed."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = self.admin_site.each_context(request) | {
            "title": _("Verify the audit log"),
            "back": reverse("admin:streams_auditentry_changelist"),
            "verdict": verify() if request.method == "POST" else None,
        }
        return render(request, "admin/streams/auditentry/verify.html", context)

    def _listed(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            shown = self.get_changelist_instance(request)
        except IncorrectLookupParameters as exc:
            raise BadRequest("There is no such filter.") from exc
        found: QuerySet[AuditEntry] = shown.get_queryset(request)
        return found


def _streamed(
    entries: QuerySet[AuditEntry],
    written: Callable[[AuditEntry], str],
    content_type: str,
    filename: str,
    heading: str = "",
) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        _pages(entries.order_by("number"), written, heading),
        content_type=f"{content_type}; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{filename}"',
            "Cache-Control": "private, no-store",
        },
    )


async def _pages(
    entries: QuerySet[AuditEntry], written: Callable[[AuditEntry], str], heading: str
) -> AsyncIterator[str]:
    """From one number to the next: what is appended meanwhile shifts nothing."""
    if heading:
        yield f"{heading}\r\n"
    last = 0
    while page := await in_database_thread(list)(entries.filter(number__gt=last)[:PAGE]):
        last = page[-1].number
        yield "".join(map(written, page))


def _values(entry: AuditEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in COLUMNS} | {"time": entry.time.isoformat()}


def _json(entry: AuditEntry) -> str:
    return json.dumps(_values(entry)) + "\n"


def _csv(entry: AuditEntry) -> str:
    told = io.StringIO()
    values = _values(entry) | {"details": json.dumps(entry.details, sort_keys=True)}
    csv.writer(told).writerow(_harmless(str(value)) for value in values.values())
    return told.getvalue()


def _harmless(text: str) -> str:
    """A spreadsheet would run what begins so."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
