"""What is being downloaded now, and how an operator ends one."""

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.cache import cache, caches
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from streams.admin.base import staff
from streams.delivery import stopping
from streams.models import Download, State
from streams.models.downloads import DownloadQuerySet

SHOWN = 50
# Seconds for which the peak of the day is remembered: it reads every download of the day.
PEAK_KEPT = 60
# Seconds for which the live part is: tabs look every three.
MADE_KEPT = 2
# A process says at least every eight seconds that it lives.
QUIET = timedelta(seconds=12)


def page(
    request: HttpRequest, downloads: DownloadQuerySet, context: dict[str, Any]
) -> HttpResponse:
    """Of `downloads`, those that run, the longest first.

    What an open page fetches of itself is made once for all who see the same, for some seconds.
    """
    if request.headers.get("X-Requested-With") != "live":
        return _page(request, downloads, context)
    # As text: the query itself has no value, but a place in memory.
    sees = (str(downloads.query), request.user.has_perm("streams.stop_download"), get_language())
    asked = f"{request.GET.get('page')} {sees}"
    key = f"live-{hashlib.sha256(asked.encode()).hexdigest()}"
    made = caches["process"].get_or_set(
        key, lambda: _page(request, downloads, context).content, MADE_KEPT
    )
    return HttpResponse(made)


def _page(
    request: HttpRequest, downloads: DownloadQuerySet, context: dict[str, Any]
) -> HttpResponse:
    now = timezone.now()
    found = Paginator(downloads.running().order_by("started_at", "pk"), SHOWN)
    shown = found.get_page(request.GET.get("page"))
    context |= {
        "title": _("Downloads now"),
        "page": shown,
        "rows": [_row(download, now) for download in shown],
        "may_stop": request.user.has_perm("streams.stop_download"),
    }
    if not found.count:
        context["peak"] = _peak(request, downloads, now)
    return render(request, "admin/streams/download/live.html", context)


def stop_page(request: HttpRequest, download: Download, context: dict[str, Any]) -> HttpResponse:
    """Asks for the reason; a POST that has one stops it."""
    reason = request.POST.get("reason", "").strip()[:200]
    if reason:
        if stopping.stop(download, by=staff(request), reason=reason):
            messages.success(request, _("It will be cut within seconds."))
        else:
            messages.warning(
                request, _("It had ended, somebody else had stopped it, or nginx sends it.")
            )
        return HttpResponseRedirect(reverse("admin:streams_download_live"))
    context |= {
        "title": _("Stop this download"),
        "row": _row(download, timezone.now()),
        "running": download.state == State.RUNNING,
        "missing": request.method == "POST",
    }
    return render(request, "admin/streams/download/stop.html", context)


def _row(download: Download, now: datetime) -> dict[str, Any]:
    size, speed, begun = download.size, download.speed, download.first_byte_at
    return {
        "download": download,
        "percent": int(100 * download.sent / size) if size else None,
        "left": (size - download.sent) / speed if size is not None and speed else None,
        "waited": (begun - download.started_at).total_seconds() if begun else None,
        "quiet": now - download.seen_at > QUIET,
    }


def _peak(
    request: HttpRequest, downloads: DownloadQuerySet, now: datetime
) -> tuple[int, datetime] | None:
    # Not everybody sees all of them.
    key = f"downloads-peak-{request.user.pk}"
    today = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    day, peak = cache.get(key, (None, None))
    if day != today:
        peak = downloads.peak(today)
        cache.set(key, (today, peak), PEAK_KEPT)
    found: tuple[int, datetime] | None = peak
    return found
