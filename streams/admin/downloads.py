"""Downloads: a record, which nobody edits."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from streams.admin.base import RecordingAdmin, staff
from streams.models import Download, Endpoint
from streams.templatetags.units import size


@admin.register(Download)
class DownloadAdmin(RecordingAdmin):
    list_display = (
        "started_at", "slug", "username", "state", "reason", "cause", "sent_size", "whole_size",
    )  # fmt: skip
    list_filter = ("state", "started_at")
    search_fields = ("slug", "username", "id")
    list_select_related = ()
    show_full_result_count = False
    actions = None

    def get_queryset(self, request: HttpRequest) -> Any:
        found = super().get_queryset(request)
        closed = Endpoint.objects.closed_to(staff(request))
        # Asked for by itself: the list of all downloads is long, and most staff see all of it.
        return found.exclude(endpoint__in=closed) if closed.exists() else found

    @admin.display(description=_("sent"), ordering="sent")
    def sent_size(self, download: Download) -> str:
        return size(download.sent)

    @admin.display(description=_("size"), ordering="size")
    def whole_size(self, download: Download) -> str:
        return size(download.size)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
