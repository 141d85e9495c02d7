"""What end users see: the catalogue, an export, and how its download goes."""

import mimetypes
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.db.models import OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from streams import audit
from streams.access import tokens
from streams.access.links import may_share
from streams.delivery.digests import PART, UNKNOWN
from streams.delivery.downloads import filename_of
from streams.delivery.parameters import Parameters, ParametersError, checked
from streams.models import Download, Endpoint, Health, PartDigests, Scope, State, User
from streams.notices import ready
from streams.views import commands, progress
from streams.views.doors import signed_in
from streams.views.progress import SHOWN
from streams.views.tokens import TOO_MANY

RECENT = 3
TOKEN_LASTS = timedelta(hours=1)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "these views need a sign-in"
    return request.user


@signed_in
@never_cache
@require_safe
def catalogue(request: HttpRequest) -> HttpResponse:
    """Every export that this user may have, or those that `?q=` finds."""
    query = request.GET.get("q", "").strip()
    whole = Download.objects.whole().filter(endpoint=OuterRef("pk"))
    # What others fetch by one's links is not one's own.
    mine = Download.objects.filter(
        endpoint=OuterRef("pk"), user=_user(request), counted__isnull=True
    )
    exports: Any = (
        Endpoint.objects.visible_to(_user(request))
        .with_health()
        .annotate(
            last_size=Subquery(whole.order_by("-started_at").values("sent")[:1]),
            last_at=Subquery(whole.order_by("-started_at").values("finished_at")[:1]),
            mine_at=Subquery(mine.order_by("-started_at").values("started_at")[:1]),
        )
    )
    if query:
        exports = exports.filter(Q(title__icontains=query) | Q(description__icontains=query))
    for one in exports:
        one.is_ready = one.enabled and one.health != Health.FAILING
    context = {
        "exports": exports,
        "recent": [] if query else _recent(exports),
        # One alone needs no zip.
        "can_zip": len([one for one in exports if one.is_ready and not one.needs_choice]) > 1,
        "query": query,
        "contact": _(settings.CONTACT),
    }
    return render(request, "streams/catalogue.html", context)


def _recent(exports: Iterable[Any]) -> list[Any]:
    """Those that this user has fetched lately, the last one first; none where that is all."""
    fetched = [export for export in exports if export.mine_at]
    latest = sorted(fetched, key=lambda export: export.mine_at, reverse=True)[:RECENT]
    return latest if len(latest) < len(list(exports)) else []


@signed_in
@never_cache
@require_safe
def export(request: HttpRequest, slug: str) -> HttpResponse:
    """One export: its button, its progress, how to fetch it otherwise, and what happened before."""
    endpoint = get_object_or_404(Endpoint.objects.visible_to(_user(request)), slug=slug)
    rows = progress.rows_of(_user(request), endpoint)
    sent = next((row for row in rows if row.reached_end), None)
    form, query = _parameters(request, endpoint)
    whole = endpoint.downloads.whole()
    # What others chose of it has another size.
    known = None if form else whole.filter(bundle=None).order_by("-started_at").first()
    address = _address(endpoint, query or "")
    name = filename_of(endpoint, timezone.now())
    context = {
        "endpoint": endpoint,
        "sent": sent,
        "parts": reverse("parts", args=[slug, sent.pk]) if sent else "",
        "usual": _usual_wait(endpoint),
        "took": _took(known) if known else None,
        "unavailable": ready.is_failing(endpoint),
        "can_tell": ready.can_tell(_user(request)),
        "will_tell": ready.will_tell(_user(request), endpoint),
        "contact": _(settings.CONTACT),
        "known": known,
        "now": timezone.now(),
        "format": _format(endpoint.filename),
        "panels": [progress.shown(row) for row in rows if row.state == State.RUNNING][:SHOWN],
        "history": [progress.shown(row) for row in rows if row.state != State.RUNNING][:SHOWN],
        "form": form,
        "ready": query is not None,
        "kept": request.build_absolute_uri(f"{request.path}?{query}") if form and query else "",
        "name": name,
        "address": address,
        "may_share": may_share(_user(request), endpoint),
        "query": query,
        "commands": commands.of(request.build_absolute_uri(address), name),
        "check": commands.check(known.sha256, name) if known and known.sha256 else "",
    }
    wrong = form is not None and form.errors
    return render(request, "streams/export.html", context, status=400 if wrong else 200)


@signed_in
@never_cache
@require_POST
@sensitive_variables()
def token(request: HttpRequest, slug: str) -> HttpResponse:
    """Makes a token for the command line, and shows it, this once."""
    user = _user(request)
    endpoint = get_object_or_404(Endpoint.objects.visible_to(user), slug=slug)
    if tokens.has_most(user):
        messages.error(request, TOO_MANY % {"most": tokens.MOST})
        return HttpResponseRedirect(reverse("tokens"))
    with transaction.atomic():
        made = tokens.issue(
            user,
            name=f"command line: {slug}"[:100],
            expires_at=timezone.now() + TOKEN_LASTS,
            scope=Scope.CHOSEN,
            exports=[endpoint],
        )
        what = f"{tokens.key_of(made)} of {user.get_username()}"
        audit.record("token.added", by=user, what=what, details={"scope": Scope.CHOSEN})
    context = {"endpoint": endpoint, "token": made, "query": request.META["QUERY_STRING"]}
    return render(request, "streams/token.html", context)


@signed_in
@require_POST
def tell_when_ready(request: HttpRequest, slug: str) -> HttpResponse:
    """One mail, once the doctor finds this export well."""
    user = _user(request)
    endpoint = get_object_or_404(Endpoint.objects.visible_to(user), slug=slug)
    if ready.can_tell(user):
        ready.ask(user, endpoint)
        messages.success(request, _("You will get one mail when it is ready."))
    return HttpResponseRedirect(reverse("export", args=[slug]))


@signed_in
@never_cache
@require_safe
def parts(request: HttpRequest, slug: str, pk: UUID) -> JsonResponse:
    """SHA-256 of each part of a file that was sent whole, to hold a copy against.

    `digests` begin with part number `first`, and are null where there was no time for one.
    """
    found = Download.objects.filter(user=_user(request), slug=slug, state=State.COMPLETE)
    return JsonResponse(parts_of(get_object_or_404(found, pk=pk)))


def parts_of(row: Download) -> dict[str, Any]:
    """The same of one download, in Python's terms."""
    held = PartDigests.objects.filter(download=row).first()
    whole = row.total if row.total is not None else row.first + row.sent
    return {
        "size": whole,
        "part": PART,
        "first": held.first if held else 0,
        "digests": _pieces(bytes(held.digests)) if held else [],
    }


def _took(row: Download) -> float | None:
    """Seconds from its first byte to its last."""
    if row.first_byte_at is None or row.finished_at is None:
        return None
    return (row.finished_at - row.first_byte_at).total_seconds()


def _usual_wait(endpoint: Endpoint) -> int | None:
    """Seconds until the first byte, in the middle of the last downloads; None if there are none."""
    begun = endpoint.downloads.filter(first_byte_at__isnull=False).order_by("-started_at")
    times = begun.values_list("started_at", "first_byte_at")[:20]
    waits = sorted((at - started).total_seconds() for started, at in times if at)
    return round(waits[len(waits) // 2]) if waits else None


def _pieces(digests: bytes) -> list[str | None]:
    each = (digests[at : at + len(UNKNOWN)] for at in range(0, len(digests), len(UNKNOWN)))
    return [None if digest == UNKNOWN else digest.hex() for digest in each]


def _parameters(request: HttpRequest, endpoint: Endpoint) -> tuple[Parameters | None, str | None]:
    """The form, where there is something to choose; and the query, None while it is not valid."""
    query = request.META["QUERY_STRING"]
    if not endpoint.params:
        return None, query
    # Before anything was chosen, nothing was chosen wrongly.
    form = Parameters(endpoint, query or None)
    try:
        return form, checked(endpoint, query)
    except ParametersError:
        return form, None


def _address(endpoint: Endpoint, query: str) -> str:
    return reverse("download", args=[endpoint.slug]) + (f"?{query}" if query else "")


def _format(filename: str) -> str:
    """`CSV` for `orders-{date}.csv`; empty where the name does not tell."""
    guessed, _ = mimetypes.guess_type(filename)
    ending = filename.rpartition(".")[2]
    return ending.upper() if guessed and ending else ""
