"""Downloads: those of now, and the record of each, which nobody edits."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from streams.admin import live
from streams.admin.base import ReadOnlyAdmin, staff
from streams.admin.exporting import Export, ExportingAdmin
from streams.admin.long import LongList, PagedPaginator, RecentFilter
from streams.models import Download, Endpoint, State, User
from streams.templatetags.times import ago, duration
from streams.templatetags.units import size

# Users and exports whose name has what is searched for. All that they have is sorted by time.
NAMED = 5

_LOOKS = {
    State.RUNNING: ("busy", "sync"),
    State.COMPLETE: ("good", "check_circle"),
    State.REDIRECTED: ("good", "call_made"),
    State.CANCELLED: ("calm", "close"),
}
COLUMNS = (
    "id", "started_at", "slug", "username", "link_id", "address", "state", "reason", "stopped_by",
    "stop_reason", "cause", "status", "filename", "first", "sent", "size", "total", "resumes",
    "proof", "sha256", "first_byte_at", "finished_at", "bundle",
)  # fmt: skip


class ReasonFilter(RecentFilter):
    title = _("reason")
    parameter_name = "why"
    field = "reason"


class ExportFilter(RecentFilter):
    title = _("export")
    parameter_name = "export"
    field = "slug"


@admin.register(Download)
class DownloadAdmin(ExportingAdmin, ReadOnlyAdmin):
    list_display = (
        "started", "slug", "username", "outcome", "reason", "cause", "sent_size", "whole_size",
        "took",
    )  # fmt: skip
    list_filter = ("state", ReasonFilter, "started_at", ExportFilter)
    search_fields = ("slug", "username", "id")
    search_help_text = _("User, export or download id")
    list_select_related = ()
    # All others would have all rows sorted.
    sortable_by = ("started",)
    list_max_show_all = 0
    show_full_result_count = False
    paginator = PagedPaginator
    actions = None
    list_before_template = "admin/streams/download/above.html"
    change_form_before_template = "admin/streams/download/record.html"
    fieldsets = (
        (
            None,
            {"fields": ("outcome", "reason", "cause", "diagnosis", "stopped_by", "stop_reason")},
        ),
        (
            _("Who and what"),
            {
                "fields": (
                    "slug",
                    "username",
                    "address",
                    "token",
                    "link",
                    "filename",
                    "bundle",
                    "id",
                )
            },
        ),
        (
            _("What was sent"),
            {
                "fields": (
                    "sent_size",
                    "whole_size",
                    "sent",
                    "size",
                    "first",
                    "total",
                    "resumes",
                    "offloaded",
                )
            },
        ),
        (_("When"), {"fields": ("started_at", "first_byte_at", "seen_at", "finished_at", "took")}),
        (_("Proof"), {"fields": ("status", "resumable", "proof", "sha256")}),
    )
    export = Export(
        "downloads",
        COLUMNS,
        ("started_at", "pk"),
        lambda last: (
            Q(started_at__gte=last.started_at)
            & (Q(started_at__gt=last.started_at) | Q(pk__gt=last.pk))
        ),
    )

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("live/", wrap(never_cache(self.live)), name="streams_download_live"),
            path("<uuid:pk>/stop/", wrap(self.stop), name="streams_download_stop"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).operable_by(staff(request))

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        """By id, or by names, which are looked up where there are few: in the small tables."""
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            pk = UUID(term)
            return queryset.filter(Q(pk=pk) | Q(bundle=pk)), False
        except ValueError:
            pass
        # A name that fits exactly is meant, and is found at once among any number of downloads.
        if User.objects.filter(username=term).exists():
            return queryset.filter(username=term), False
        if Endpoint.objects.filter(slug=term).exists():
            return queryset.filter(slug=term), False
        users = User.objects.filter(username__icontains=term).order_by("username")
        exports = Endpoint.objects.filter(Q(slug__icontains=term) | Q(title__icontains=term))
        # The term itself besides: a record outlives the account and the export.
        names = [term, *users.values_list("username", flat=True)[:NAMED]]
        slugs = [term, *exports.order_by("slug").values_list("slug", flat=True)[:NAMED]]
        return queryset.filter(Q(username__in=names) | Q(slug__in=slugs)), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LongList]:
        return LongList

    def live(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return live.page(request, self.get_queryset(request), self._context(request))

    def stop(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        if not request.user.has_perm("streams.stop_download"):
            raise PermissionDenied
        download = self.get_object(request, str(pk))
        if download is None:
            raise Http404
        return live.stop_page(request, download, self._context(request))

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        # What the page itself fetches to be up to date needs nothing around it.
        if request.headers.get("X-Requested-With") == "live":
            return {"around": "admin/bare.html"}
        context: dict[str, Any] = self.admin_site.each_context(request)
        return context | {"around": "admin/base_site.html"}

    def change_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        may_stop = request.user.has_perm("streams.stop_download")
        kwargs["extra_context"] = (kwargs.get("extra_context") or {}) | {"may_stop": may_stop}
        answer: HttpResponse = super().change_view(request, *args, **kwargs)
        return answer

    @admin.display(description=_("started"), ordering="-started_at")
    def started(self, download: Download) -> str:
        return ago(download.started_at)

    @admin.display(description=_("state"), ordering="state")
    def outcome(self, download: Download) -> SafeString:
        look, icon = _LOOKS.get(State(download.state), ("bad", "error"))
        return format_html(
            '<span class="badge badge-{}">'
            '<span class="material-symbols-outlined" aria-hidden="true">{}</span>{}</span>',
            look, icon, download.get_state_display(),
        )  # fmt: skip

    @admin.display(description=_("sent"))
    def sent_size(self, download: Download) -> str:
        return size(download.sent)

    @admin.display(description=_("size"))
    def whole_size(self, download: Download) -> str:
        return size(download.size)

    @admin.display(description=_("took"))
    def took(self, download: Download) -> str:
        if download.finished_at is None:
            return ""
        return duration((download.finished_at - download.started_at).total_seconds())
