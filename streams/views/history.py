"""A user's own downloads, of all exports."""

from typing import cast
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from streams.delivery import abandoned
from streams.models import Download, Endpoint, User
from streams.views import progress, wording
from streams.views.doors import signed_in

SHOWN = 50


@signed_in
@never_cache
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """The latest first, a page at a time."""
    assert isinstance(request.user, User)
    abandoned.interrupt()
    # What others fetch by one's links is not one's own.
    mine = request.user.downloads.filter(counted__isnull=True).order_by("-started_at", "-pk")
    page = Paginator(mine, SHOWN).get_page(request.GET.get("page"))
    visible = Endpoint.objects.visible_to(request.user)
    zips = _zips({row.bundle for row in page if row.bundle})
    titles = dict(visible.filter(slug__in={row.slug for row in page}).values_list("slug", "title"))
    rows = [
        # Of what one may have no more there is no title, and no page to fetch it again.
        {
            "download": row,
            "title": titles.get(row.slug),
            "what": wording.of(row.reason).what,
            "part": wording.part(row),
            "zip": zips.get(row.bundle) if row.bundle else None,
        }
        for row in page
    ]
    return render(request, "streams/history.html", {"page": page, "rows": rows})


def _zips(bundles: set[UUID]) -> dict[UUID, Download]:
    """What became of each as a whole: what was sent of it is good for nothing where it was cut."""
    rows: dict[UUID, list[Download]] = {bundle: [] for bundle in bundles}
    for row in Download.objects.filter(bundle__in=bundles):
        rows[cast(UUID, row.bundle)].append(row)
    return {bundle: progress.whole_of(held) for bundle, held in rows.items()}
