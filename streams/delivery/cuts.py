"""What operators are told of exports whose downloads are often cut."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from portal import each
from streams.delivery.stopping import STOPPED
from streams.models import CutWatch, Download, Endpoint, Notice, NoticeEvent, State

# Of the downloads that began in this time and have ended.
WINDOW = timedelta(hours=1)
# Often: at least so many of them, and so large a share.
LEAST = 5
SHARE = 0.2
# It is over only with half of that, so that an export at the border is not told of again and again.
OVER = SHARE / 2


def tell(now: datetime | None = None) -> None:
    """Tells what has begun to be cut often, and what no longer is: once for each change."""
    now = now or timezone.now()
    found = _counted(now - WINDOW)
    often = {pk for pk, one in found.items() if one["cut"] >= max(LEAST, SHARE * one["n"])}
    watched = CutWatch.objects.filter(since__isnull=False).values_list("endpoint", flat=True)
    known = set(watched)
    over = {
        pk for pk in known - often if pk not in found or found[pk]["cut"] <= OVER * found[pk]["n"]
    }

    def change(pk: int) -> None:
        if pk in over:
            _end(pk, now)
        else:
            _begin(pk, found[pk], now)

    each.attempt([*sorted(often - known), *sorted(over)], change)


def _counted(since: datetime) -> dict[int, Any]:
    ended = Download.objects.filter(started_at__gte=since, endpoint__isnull=False)
    # What an operator stops is no trouble of the export.
    cut = Count("pk", filter=Q(state=State.CUT) & ~Q(reason=STOPPED))
    rows = ended.exclude(state=State.RUNNING).order_by().values("endpoint")
    return {row["endpoint"]: row for row in rows.annotate(n=Count("pk"), cut=cut)}


@transaction.atomic
def _begin(pk: int, counts: dict[str, int], now: datetime) -> None:
    # A row lock: of two that look at once, the second finds it told.
    CutWatch.objects.get_or_create(endpoint_id=pk)
    if CutWatch.objects.filter(endpoint=pk, since__isnull=True).update(since=now):
        n, cut = counts["n"], counts["cut"]
        words = f"is cut often: {cut} of {n} downloads within an hour."
        _tell(NoticeEvent.CUTS_OFTEN, pk, now, words, {"cut": cut, "downloads": n})


@transaction.atomic
def _end(pk: int, now: datetime) -> None:
    if CutWatch.objects.filter(endpoint=pk, since__isnull=False).update(since=None):
        _tell(NoticeEvent.CUTS_OVER, pk, now, "is no longer cut often.", {})


def _tell(event: NoticeEvent, pk: int, now: datetime, words: str, data: dict[str, int]) -> None:
    slug = Endpoint.objects.values_list("slug", flat=True).get(pk=pk)
    Notice.objects.tell(
        event,
        key=f"endpoint {pk} {event} {now.isoformat()}",
        summary=f"The export {slug} {words}",
        data={"endpoint": slug, "endpoint_id": pk, **data},
    )
