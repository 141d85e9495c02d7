"""Provisionings: how far a worker is with one, and what came of it."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from streams.access.adding import may_provision
from streams.admin.base import ReadOnlyAdmin, staff
from streams.models import Endpoint, Setup, SetupState
from streams.provisioning import setup
from streams.provisioning.problems import ProvisioningError
from streams.provisioning.request import Request
from streams.tasks import provision, ring

# Seconds after which somebody who waits is told that no worker has taken it.
PATIENCE = 60
_LOOKS = {
    SetupState.RUNNING: ("busy", "sync"),
    SetupState.COMPLETED: ("good", "check_circle"),
    SetupState.FAILED: ("bad", "error"),
}


@admin.register(Setup)
class SetupAdmin(ReadOnlyAdmin):
    subject = "provisioning"
    list_display = ("started_at", "slug", "function", "state", "requested_by", "finished_at")
    list_filter = ("state",)
    search_fields = ("slug", "function")
    actions = None

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """How far it is; a POST has it stopped, or done once more."""
        row = self.get_object(request, object_id)
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if request.method == "POST":
            return _acted(request, row)
        context = self.admin_site.each_context(request) | _story(request, row)
        return render(request, "admin/streams/setup/page.html", context)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).operable_by(staff(request))


def _story(request: HttpRequest, row: Setup) -> dict[str, Any]:
    look, icon = _LOOKS[SetupState(row.state)]
    waits = row.state == SetupState.RUNNING and row.token == 0
    made = Endpoint.objects.operable_by(staff(request)).filter(slug=row.slug).first()
    return {
        "title": _("Making %s") % row.slug,
        "row": row,
        "look": look,
        "icon": icon,
        "waits": waits,
        "untaken": waits and (timezone.now() - row.started_at).total_seconds() > PATIENCE,
        "ahead": [line for line in row.plan if line not in row.told],
        "made": made if row.state == SetupState.COMPLETED else None,
        "may_act": may_provision(staff(request)),
    }


def _acted(request: HttpRequest, row: Setup) -> HttpResponse:
    if not may_provision(staff(request)):
        raise PermissionDenied
    what = request.POST.get("what")
    if what == "stop" and not setup.stop(row, by=staff(request)):
        messages.info(request, _("It has ended already."))
    if what == "again":
        return _again(request, row)
    transaction.on_commit(lambda: ring(provision, row.pk))
    return HttpResponseRedirect(request.path)


def _again(request: HttpRequest, row: Setup) -> HttpResponse:
    """A run of its own, for the same: it takes up whatever is there."""
    if row.state != SetupState.FAILED:
        return HttpResponseRedirect(request.path)
    try:
        made = setup.start(Request.stored(row.request), row.plan, by=staff(request))
    except ProvisioningError as exc:
        messages.error(request, str(exc))
        return HttpResponseRedirect(request.path)
    transaction.on_commit(lambda: ring(provision, made.pk))
    return HttpResponseRedirect(reverse("admin:streams_setup_change", args=[made.pk]))
