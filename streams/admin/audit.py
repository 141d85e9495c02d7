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

from streams.admin.base import ReadOnlyAdmin, staff
from streams.admin.exporting import Export, ExportingAdmin
from streams.admin.long import LongList, PagedPaginator, RecentFilter
from streams.audit.verifying import verify
from streams.models import AuditEntry, AuditHead, Endpoint

# A word is looked for in so many of the latest entries. Older ones are found by a filter.
SEARCHED = 100_000
COLUMNS = (
    "number", "time", "actor", "how", "address", "action", "what", "details", "previous",
    "key_id", "digest", "seal",
)  # fmt: skip


class ActionFilter(RecentFilter):
    title = _("action")
    parameter_name = field = "action"
    newest_first = "-number"


@admin.register(AuditEntry)
class AuditEntryAdmin(ExportingAdmin, ReadOnlyAdmin):
    list_display = ("number", "at", "actor", "action", "what", "told", "how", "address")
    list_filter = ("how", "time", ActionFilter)
    search_fields = ("actor", "action", "what", "address")
    search_help_text = _(
        "A number; a user, an action or a thing by its whole name; or part of it, in the latest "
        "100,000 entries"
    )
    sortable_by = ("number", "at")
    paginator = PagedPaginator
    list_max_show_all = 0
    fields = COLUMNS
    export = Export("audit", COLUMNS, ("number",), lambda entry: Q(number__gt=entry.number))
    show_full_result_count = False
    actions = None
    list_before_template = "admin/streams/auditentry/above.html"

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("verify/", wrap(self.verify), name="streams_auditentry_verify"),
            *super().get_urls(),
        ]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        """What fits exactly is found at once, among any number of entries."""
        term = search_term.strip()
        exactly = Q(actor=term) | Q(action=term) | Q(what=term)
        if term.isdecimal() and len(term) < 19:
            exactly |= Q(number=term)
        if not term or (found := queryset.filter(exactly)).exists():
            return found if term else queryset, False
        last = AuditHead.objects.values_list("number", flat=True).first() or 0
        latest = queryset.filter(number__gt=last - SEARCHED)
        return super().get_search_results(request, latest, search_term)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LongList]:
        return LongList

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
