"""The audit log: to be read, searched, exported and verified."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from streams.admin.base import RecordingAdmin, staff
from streams.admin.exporting import Export, ExportingAdmin
from streams.audit.verifying import verify
from streams.models import AuditEntry, Endpoint

COLUMNS = (
    "number", "time", "actor", "how", "address", "action", "what", "details", "previous",
    "key_id", "digest", "seal",
)  # fmt: skip


@admin.register(AuditEntry)
class AuditEntryAdmin(ExportingAdmin, RecordingAdmin):
    list_display = ("number", "at", "actor", "action", "what", "told", "how", "address")
    list_filter = ("how", "time", ("action", admin.AllValuesFieldListFilter))
    search_fields = ("actor", "action", "what", "address")
    fields = COLUMNS
    export = Export("audit", COLUMNS, ("number",), lambda entry: Q(number__gt=entry.number))
    show_full_result_count = False
    actions = None
    list_per_page = 50
    list_before_template = "admin/streams/auditentry/above.html"

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
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
