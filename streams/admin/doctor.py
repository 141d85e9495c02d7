"""The doctor's page: of one endpoint, or of the portal and what no endpoint hangs on."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from streams.access.mending import may_mend
from streams.admin.base import staff
from streams.doctor import comparing, engine
from streams.models import Checkup, DoctorRun, Endpoint, Health, User
from streams.tasks import examine, ring

# After this, somebody who waits for a run is told that no worker has taken it.
PATIENCE = timedelta(seconds=60)
# The list of endpoints has all of them.
SHOWN = 50
_ICONS = {
    Health.FAILING: "error",
    Health.DEGRADED: "warning",
    Health.UNKNOWN: "help",
    Health.HEALTHY: "check_circle",
}


def portal_page(request: HttpRequest) -> HttpResponse:
    """`/operate/doctor/`."""
    if not request.user.has_perm("streams.view_checkup"):
        raise PermissionDenied
    rights = request.user.has_perm("streams.change_checkup")
    return page(request, None, admin.site.each_context(request), may_run=rights)


def page(
    request: HttpRequest, endpoint: Endpoint | None, context: dict[str, Any], *, may_run: bool
) -> HttpResponse:
    """What the last run found; a POST has another one made."""
    if request.method == "POST":
        if not may_run:
            raise PermissionDenied
        asked = engine.ask(endpoint, by=request.user.get_username())
        transaction.on_commit(lambda: ring(examine, asked.pk))
        return HttpResponseRedirect(request.path)
    row: Any = Checkup.objects.with_health().filter(endpoint=endpoint).first()
    run = _run(request, row)
    context |= {
        "title": _("Doctor: %s") % (endpoint or _("the portal")),
        "endpoint": endpoint,
        "row": row,
        "may_run": may_run,
        "run": run,
        "is_last": run is not None and "run" not in request.GET,
        "runs": row.runs.defer("report") if row else (),
        "badge": badge(row.health_now if row else Health.UNKNOWN),
        **_progress(row),
        **(_told(run) if run else {}),
    }
    if context["is_last"]:
        _offer_repairs(request, run, context["findings"])
    if endpoint is None:
        context["troubled"] = _troubled(staff(request))
    return render(request, "admin/streams/doctor/page.html", context)


def badge(health: str, word: Any = "") -> SafeString:
    """A health as an icon and a word: its own, or one that says more."""
    known = Health(health)
    return format_html(
        '<span class="health health-{}">'
        '<span class="material-symbols-outlined" aria-hidden="true">{}</span>{}</span>',
        known.value,
        _ICONS[known],
        word or known.label,
    )


def icon(health: str) -> SafeString:
    """It alone, where the words stand beside it for those who listen, and on hover."""
    known = Health(health)
    return format_html(
        '<span class="health health-{}">'
        '<span class="material-symbols-outlined" aria-hidden="true">{}</span></span>',
        known.value,
        _ICONS[known],
    )


class HealthFilter(admin.SimpleListFilter):
    title = _("health")
    parameter_name = "health"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return Health.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        return queryset.filter(health=value) if value in Health.values else queryset


def _run(request: HttpRequest, row: Checkup | None) -> DoctorRun | None:
    """The last one, or the one that `?run=` names."""
    if row is None:
        return None
    wanted = request.GET.get("run", "")
    if wanted.isdecimal():
        return get_object_or_404(row.runs, pk=wanted)
    return row.runs.first()


def _progress(row: Checkup | None) -> dict[str, Any]:
    """Whether a run is under way, or waits for a worker, and since when."""
    now = timezone.now()
    if row and row.lease_until and row.lease_until > now:
        return {"progress": "running", "since": row.began_at}
    if row and row.asked_at:
        late = now - row.asked_at > PATIENCE
        return {"progress": "untaken" if late else "waiting", "since": row.asked_at}
    return {"progress": ""}


def _told(run: DoctorRun) -> dict[str, Any]:
    report = run.report
    new = {comparing.key(one) for one in report["new"]}
    return {
        "findings": [one | {"new": comparing.key(one) in new} for one in report["findings"]],
        "gone": report["gone"],
        "passed": report["passed"],
        "skipped": report["skipped"],
        "compared": report["since"] is not None,
    }


def _offer_repairs(request: HttpRequest, run: Any, findings: list[dict[str, Any]]) -> None:
    """To those who may have them done."""
    for number, one in enumerate(findings):
        if one["repair"] and may_mend(staff(request), run.checkup.endpoint, one):
            one["repair_page"] = reverse("admin:doctor_fix", args=[run.pk, number])


def _troubled(user: User) -> list[Any]:
    """The endpoints that are not well, the worst first."""
    found: Any = Endpoint.objects.operable_by(user).with_health().filter(enabled=True)
    troubled = list(found.exclude(health=Health.HEALTHY).worst_first()[:SHOWN])
    for endpoint in troubled:
        endpoint.badge = badge(endpoint.health)
    return troubled
