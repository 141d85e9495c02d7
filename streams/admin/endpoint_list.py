"""The list of endpoints: what stands in a row besides the endpoint's own fields, and the chips."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.views import ChangeList

from streams.admin.base import listed
from streams.admin.doctor import badge, icon
from streams.admin.traffic import listed_since
from streams.models import DoctorRun, Download, Endpoint, Gateway, Health, Kind, Secret, State
from streams.rotation import calendar
from streams.templatetags.times import when
from streams.templatetags.units import size

DAY = timedelta(days=1)
# So many checks fit in a line.
CHECKS = 5


class EndpointList(ChangeList):  # type: ignore[misc]
    """It leads to the page that is read; that one leads to the form.

    What a page of it shows is asked for at once: the same few queries for any number of rows.
    """

    def url_for_result(self, result: Endpoint) -> str:
        return reverse("admin:streams_endpoint_status", args=[result.pk])

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)  # type: ignore[has-type]  # Unfold has no types
        since = timezone.now() - DAY
        day, runs, secrets = _day(request, rows, since), _runs(rows), _secrets(request, rows)
        self.result_list = rows
        for one in rows:
            one.since = since
            one.day = day.get(one.pk, {})
            one.runs = runs.get(one.pk, [])
            one.sends = secrets.get(one.pk)


def _day(request: HttpRequest, rows: Sequence[Any], since: datetime) -> dict[int, Any]:
    found = listed(request, Download).filter(endpoint__in=rows, started_at__gte=since)
    cut = Count("state", filter=Q(state=State.CUT))
    summed = found.values("endpoint").annotate(n=Count("*"), cut=cut, sent=Sum("sent"))
    return {row["endpoint"]: row for row in summed}


def _runs(rows: Sequence[Any]) -> dict[int, list[DoctorRun]]:
    """As one reads: the newest is last."""
    found: dict[int, list[DoctorRun]] = {}
    runs = DoctorRun.objects.filter(checkup__endpoint__in=rows).order_by("pk").defer("report")
    for run in runs.select_related("checkup"):
        assert run.checkup.endpoint_id is not None
        found.setdefault(run.checkup.endpoint_id, []).append(run)
    return found


def _secrets(request: HttpRequest, rows: Sequence[Any]) -> dict[int, Secret]:
    """Which each one sends, itself or by its gateway."""
    urls = [one.url for one in rows if one.kind == Kind.GATEWAY and not one.secret_id]
    of_url = dict(Gateway.objects.filter(url__in=urls).values_list("url", "secret"))
    held = {one.pk: one.secret_id or of_url.get(one.url) for one in rows}
    found = listed(request, Secret).filter(pk__in={*filter(None, held.values())})
    secrets = {one.pk: one for one in found.prefetch_related(None).select_related(None)}
    return {pk: secrets[held_by] for pk, held_by in held.items() if held_by in secrets}


def sent(endpoint: Any) -> SafeString | str:
    """In 24 hours, with the list of what that was."""
    if not endpoint.day:
        return size(0)
    page = listed_since(endpoint.since, endpoint__exact=str(endpoint.pk))
    return format_html('<a href="{}">{}</a>', page, size(int(endpoint.day["sent"])))


def cut(endpoint: Any) -> SafeString | str:
    """How many of a hundred were cut in 24 hours; a dash where nothing was downloaded."""
    if not endpoint.day:
        return format_html(
            '<span aria-hidden="true">&ndash;</span><span class="unseen">{}</span>',
            _("nothing was downloaded"),
        )
    told = f"{100 * endpoint.day['cut'] / endpoint.day['n']:.1f} %"
    if not endpoint.day["cut"]:
        return told
    also = {"endpoint__exact": str(endpoint.pk), "state__exact": str(State.CUT)}
    return format_html('<a href="{}">{}</a>', listed_since(endpoint.since, **also), told)


def strip(endpoint: Any) -> SafeString:
    """Its last checks, the newest last, each with its page."""
    page = reverse("admin:streams_endpoint_doctor", args=[endpoint.pk])
    checks = format_html_join(
        "",
        '<li><a href="{}?run={}" title="{}">{}<span class="unseen">{}</span></a></li>',
        (
            (page, run.pk, told, icon(run.health), told)
            for run, told in map(_told, endpoint.runs[-CHECKS:])
        ),
    )
    return format_html('<ol class="checks">{}</ol>', checks) if checks else SafeString("")


def _told(run: DoctorRun) -> tuple[DoctorRun, str]:
    at = date_format(timezone.localtime(run.ended_at), "DATETIME_FORMAT")
    return run, f"{run.get_health_display()}, {at}"


def next_rotation(endpoint: Any) -> SafeString | str:
    """Of the secret that it sends, and that it is overdue."""
    secret = endpoint.sends
    if secret is None or secret.rotate_every is None:
        return ""
    late = calendar.is_overdue(secret, timezone.now())
    due = calendar.next_due(secret)
    if late:
        told = badge(Health.DEGRADED, _("overdue"))
        return format_html("{} {}", told, when(due)) if due else told
    return when(due) if due else gettext("paused")


def chips(request: HttpRequest) -> Iterator[dict[str, Any]]:
    """The states that a list can be narrowed to, with how many are in each."""
    found = listed(request, Endpoint).values_list("enabled", "health").annotate(n=Count("pk"))
    counts = {(enabled, health): count for enabled, health, count in found}
    asked = request.GET.dict()
    yield {"name": _("All"), "count": sum(counts.values()), "query": "", "is_now": not asked}
    for health in Health:
        query = {"health": str(health), "enabled__exact": "1"}
        yield {
            "badge": badge(health),
            "count": counts.get((True, health), 0),
            "query": f"health={health}&enabled__exact=1",
            "is_now": asked == query,
        }
    yield {
        "name": _("Disabled"),
        "count": sum(count for (enabled, _health), count in counts.items() if not enabled),
        "query": "enabled__exact=0",
        "is_now": asked == {"enabled__exact": "0"},
    }
