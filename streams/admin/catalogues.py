"""The catalogue of a user as an operator sees it: what is in it, and why."""

from collections.abc import Iterator
from typing import Any

from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from streams.admin.base import staff
from streams.models import Endpoint, Grant, Health, User
from streams.templatetags.times import exact

SHOWN = 50


def page(request: HttpRequest, user: User, context: dict[str, Any]) -> HttpResponse:
    """Of what `user` may download, those that whoever asks may see."""
    mine = Endpoint.objects.operable_by(staff(request))
    grants = Grant.objects.standing().filter(group__in=user.groups.all()).select_related("group")
    found = (
        Endpoint.objects.visible_to(user)
        .filter(pk__in=mine.values("pk"))
        .with_health()
        .prefetch_related(Prefetch("grants", grants.order_by("group__name"), to_attr="theirs"))
        .order_by("title", "pk")
    )
    shown = Paginator(found, SHOWN).get_page(request.GET.get("page"))
    rows: list[Any] = list(shown)
    operated = set(
        Endpoint.objects.operable_by(user).filter(pk__in=[one.pk for one in rows])
        .values_list("pk", flat=True)
    )  # fmt: skip
    context |= {
        "title": _("What %(user)s may download") % {"user": user},
        "seen": user,
        "page": shown,
        "kept_back": Endpoint.objects.closed_to(staff(request)).exists(),
        "rows": [
            {
                "endpoint": one,
                "ready": one.enabled and one.health != Health.FAILING,
                "why": list(_why(one, operates=one.pk in operated)),
            }
            for one in rows
        ],
    }
    return render(request, "admin/streams/user/exports.html", context)


def _why(endpoint: Any, *, operates: bool) -> Iterator[str]:
    """Each of the reasons that `visible_to` knows."""
    if endpoint.everyone:
        yield _("Every signed-in user may.")
    if endpoint.theirs:
        groups = ", ".join(map(_named, endpoint.theirs))
        yield _("By group: %(groups)s.") % {"groups": groups}
    if operates:
        yield _("They operate it.")


def _named(grant: Grant) -> str:
    if grant.expires_at is None:
        return grant.group.name
    return _("%(group)s until %(at)s") % {"group": grant.group.name, "at": exact(grant.expires_at)}
