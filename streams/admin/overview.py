"""The first page at /operate/: what needs attention, the figures, and the traffic.

Each figure is counted over what the list shows that it leads to, so that the two agree.
"""

from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from streams.admin import attention, traffic
from streams.admin.base import listed, may_see
from streams.models import Download, Endpoint, Health, Secret
from streams.models.downloads import LEASE
from streams.rotation import calendar


def overview(request: HttpRequest) -> dict[str, Any]:
    """What its template shows; the parts that this user may not see are left out."""
    secrets = [*listed(request, Secret).prefetch_related(None).select_related(None)]
    problems = attention.problems(request, secrets)
    return {
        "problems": problems,
        "failing": sum(one.count for one in problems if one.fails),
        "range": traffic.chosen(request),
        "ranges": traffic.Range,
        **(_endpoints(request) if may_see(request, Endpoint) else {}),
        **(_downloads(request) if may_see(request, Download) else {}),
        **(_next(secrets) if may_see(request, Secret) else {}),
    }


def _endpoints(request: HttpRequest) -> dict[str, Any]:
    found = listed(request, Endpoint).values_list("enabled", "health").annotate(n=Count("pk"))
    counts = {(enabled, health): count for enabled, health, count in found}
    page = reverse("admin:streams_endpoint_changelist")
    return {
        "endpoints": sum(counts.values()),
        "enabled": sum(count for (enabled, _), count in counts.items() if enabled),
        "healthy": counts.get((True, Health.HEALTHY), 0),
        "healthy_list": f"{page}?health={Health.HEALTHY}&enabled__exact=1",
    }


def _downloads(request: HttpRequest) -> dict[str, Any]:
    now, downloads = timezone.now(), listed(request, Download)
    told = traffic.traffic(downloads, traffic.chosen(request), now)
    page = reverse("admin:streams_download_changelist")
    alive = (now - LEASE).isoformat().replace("+", "%2B")
    return {
        "traffic": told,
        "charts": traffic.charts(told) if told.downloads else [],
        "running": downloads.running().count(),
        "running_list": f"{page}?state__exact=running&seen_at__gte={alive}",
        "sent_list": told.list_of(),
        "cut_list": told.list_of(state__exact="cut"),
        "cut_share": 100 * told.cut / told.downloads if told.downloads else 0,
    }


def _next(secrets: list[Any]) -> dict[str, Any]:
    planned = [(due, one.pk, one) for one in secrets if (due := calendar.next_due(one))]
    due, _pk, secret = min(planned, default=(None, 0, None))
    late = secret is not None and calendar.is_overdue(secret, timezone.now())
    return {"next": {"due": due, "secret": secret, "late": late}}
