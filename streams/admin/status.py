"""An endpoint's own page: how it is, what was downloaded, its secret. To be read, not edited."""

from collections.abc import Sequence
from datetime import timedelta
from statistics import median
from typing import Any

from django.contrib import messages
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from streams.admin.attention import mended
from streams.admin.base import listed, may_see
from streams.admin.doctor import badge
from streams.admin.traffic import listed_since
from streams.doctor.trying import tried as beginning
from streams.models import (
    Checkup,
    Download,
    DriftCheck,
    Endpoint,
    Gateway,
    Health,
    Kind,
    Rotation,
    Secret,
    State,
)
from streams.models.fields import UndecryptableError
from streams.net.errors import OriginError
from streams.rotation import calendar
from streams.rotation.engine import account
from streams.templatetags.times import duration
from streams.templatetags.units import size

# So many of its last downloads tell how it goes, and so many of them are listed.
RECENT = 100
SHOWN = 10


def page(request: HttpRequest, endpoint: Any, context: dict[str, Any]) -> HttpResponse:
    """`endpoint` is one of `with_health`."""
    row: Any = Checkup.objects.with_health().filter(endpoint=endpoint).first()
    runs = list(row.runs.defer("report")) if row else []
    context |= {
        "title": endpoint.title,
        "endpoint": endpoint,
        "row": row,
        "badge": badge(endpoint.health),
        "sentence": _sentence(endpoint, row),
        "run": runs[0] if runs else None,
        # As one reads: the newest is last.
        "strip": [{"run": run, "badge": badge(run.health)} for run in reversed(runs)],
        **(_traffic(request, endpoint) if may_see(request, Download) else {}),
        "secret": _secret(request, endpoint) if may_see(request, Secret) else None,
    }
    return render(request, "admin/streams/endpoint/page.html", context)


def tried(request: HttpRequest, endpoint: Endpoint) -> HttpResponse:
    """Reads the beginning of its file, and says on its page how that went."""
    try:
        sample = beginning(endpoint, account())
    except (OriginError, UndecryptableError) as exc:
        # Its hint is for those who download.
        messages.error(request, gettext("The test failed: %s The doctor looks for why.") % exc)
    else:
        told = gettext("It opens: the first byte after %(first)s, then %(size)s in %(rest)s.")
        words = {"first": duration(sample.first), "size": size(sample.size)}
        messages.success(request, told % (words | {"rest": duration(sample.rest)}))
    return HttpResponseRedirect(request.path)


def _sentence(endpoint: Endpoint, row: Any) -> Any:
    if not endpoint.enabled:
        return _("It is disabled: users neither see it nor download from it.")
    if row is None or row.looked_at is None:
        return _("It has not been checked yet: the next free worker does it.")
    if row.health_now == Health.UNKNOWN != row.health:
        return _("The last check is too long ago to tell how it is now.")
    return row.reason or _("Downloads work, and nothing was found.")


def _traffic(request: HttpRequest, endpoint: Endpoint) -> dict[str, Any]:
    mine = listed(request, Download).filter(endpoint=endpoint)
    recent = list(mine.order_by("-started_at")[:RECENT])
    since = timezone.now() - timedelta(days=1)
    day = mine.filter(started_at__gte=since).aggregate(n=Count("*"), sent=Sum("sent"))
    page = reverse("admin:streams_download_changelist")
    ended = [one for one in recent if one.state != State.RUNNING]
    waits = sorted(wait for one in recent if (wait := _wait(one)) is not None)
    return {
        "downloads": [
            {"row": one, "wait": _wait(one), "speed": _speed(one)} for one in recent[:SHOWN]
        ],
        "count": len(recent),
        "day": day,
        "day_list": listed_since(since, endpoint__exact=str(endpoint.pk)),
        "all_list": f"{page}?endpoint__exact={endpoint.pk}",
        "p50": _percentile(waits, 50),
        "p95": _percentile(waits, 95),
        "speed": median(speeds) if (speeds := [*filter(None, map(_speed, recent))]) else None,
        "ended": len(ended),
        "cut": sum(one.state == State.CUT for one in ended),
    }


def _wait(download: Download) -> float | None:
    """Seconds until its first byte."""
    first = download.first_byte_at
    return (first - download.started_at).total_seconds() if first else None


def _speed(download: Download) -> int | None:
    """Bytes a second, once all of it was sent: of the slower of origin and client."""
    first, last = download.first_byte_at, download.finished_at
    if download.state != State.COMPLETE or not first or not last or first >= last:
        return None
    return round(download.sent / (last - first).total_seconds())


def _percentile(values: Sequence[float], percent: int) -> float | None:
    """The least of the sorted values that so many of them do not exceed."""
    return values[(len(values) * percent + 99) // 100 - 1] if values else None


def _secret(request: HttpRequest, endpoint: Endpoint) -> dict[str, Any] | None:
    """That which it sends, itself or by its gateway; None where there is none to be seen."""
    held = endpoint.secret_id
    if held is None and endpoint.kind == Kind.GATEWAY:
        gateways = Gateway.objects.filter(url=endpoint.url).values_list("secret", flat=True)
        held = gateways.first()
    secret = listed(request, Secret).filter(pk=held).first() if held else None
    if secret is None:
        return None
    fix, mend = mended(request, secret)
    drift = DriftCheck.objects.filter(secret=secret).exclude(found="").first()
    return {
        "secret": secret,
        "versions": secret.current_versions,
        "last": Rotation.objects.filter(secret=secret).first(),
        "next": calendar.next_due(secret),
        "overdue": calendar.is_overdue(secret, timezone.now()),
        "drift": drift,
        "fix": fix,
        "mend": mend,
    }
