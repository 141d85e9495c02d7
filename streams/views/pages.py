"""What end users see: the catalogue, an export, and how its download goes."""

import mimetypes
import shlex
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from streams.delivery import abandoned
from streams.delivery.downloads import filename_of
from streams.models import Download, Endpoint, State, User
from streams.views import wording

SHOWN = 5


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "these views need a sign-in"
    return request.user


@login_required
@never_cache
@require_safe
def catalogue(request: HttpRequest) -> HttpResponse:
    """Every export that this user may have, or those that `?q=` finds."""
    query = request.GET.get("q", "").strip()
    whole = Download.objects.filter(endpoint=OuterRef("pk"), state=State.COMPLETE, first=0)
    exports = Endpoint.objects.visible_to(_user(request)).annotate(
        last_size=Subquery(whole.order_by("-started_at").values("sent")[:1]),
        last_at=Subquery(whole.order_by("-started_at").values("finished_at")[:1]),
    )
    if query:
        exports = exports.filter(Q(title__icontains=query) | Q(description__icontains=query))
    context = {"exports": exports, "query": query, "contact": settings.CONTACT}
    return render(request, "streams/catalogue.html", context)


@login_required
@never_cache
@require_safe
def export(request: HttpRequest, slug: str) -> HttpResponse:
    """One export: its button, its progress, how to fetch it otherwise, and what happened before."""
    endpoint = get_object_or_404(Endpoint.objects.visible_to(_user(request)), slug=slug)
    rows = _rows(request, endpoint)
    known = endpoint.downloads.filter(state=State.COMPLETE, first=0).order_by("-started_at").first()
    context = {
        "endpoint": endpoint,
        "known": known,
        "format": _format(endpoint.filename),
        "panels": [_shown(row) for row in rows if row.state == State.RUNNING][:SHOWN],
        "history": [_shown(row) for row in rows if row.state != State.RUNNING][:SHOWN],
        "address": (address := _address(request, endpoint)),
        "command": _command(endpoint, request.build_absolute_uri(address)),
    }
    return render(request, "streams/export.html", context)


@login_required
@never_cache
@require_safe
def progress(request: HttpRequest, slug: str) -> JsonResponse:
    """This user's latest downloads of the export, as the portal counts them."""
    endpoint = get_object_or_404(Endpoint.objects.visible_to(_user(request)), slug=slug)
    rows = [_shown(row) for row in _rows(request, endpoint)[:SHOWN]]
    return JsonResponse({"now": timezone.now(), "downloads": rows})


def _address(request: HttpRequest, endpoint: Endpoint) -> str:
    query = request.META.get("QUERY_STRING", "")
    return reverse("download", args=[endpoint.slug]) + (f"?{query}" if query else "")


def _command(endpoint: Endpoint, url: str) -> str:
    """For a shell. It can be repeated: it goes on where it stopped, and keeps no error page."""
    # Not `--remote-header-name`: before release 8.7, curl refuses it beside `--continue-at`.
    name = filename_of(endpoint, timezone.now())
    return (
        f"curl --fail --continue-at - --output {shlex.quote(name)} \\\n"
        f'  --header "Authorization: Bearer $TOKEN" \\\n'
        f"  {shlex.quote(url)}"
    )


def _rows(request: HttpRequest, endpoint: Endpoint) -> list[Download]:
    abandoned.interrupt()
    return list(endpoint.downloads.filter(user=_user(request)).order_by("-started_at")[:20])


def _shown(row: Download) -> dict[str, Any]:
    words = wording.of(row.reason, cause=row.cause, said=row.stop_reason)
    return {
        "id": str(row.pk),
        "state": row.state,
        "state_text": row.get_state_display(),
        "reason": row.reason,
        "what": str(words.what) if row.reason else "",
        "todo": str(words.todo) if row.reason else "",
        "sent": row.sent,
        "size": row.size,
        "total": row.total,
        "first": row.first,
        "filename": row.filename,
        "resumable": row.resumable,
        "proof": row.get_proof_display(),
        "sha256": row.sha256,
        "resumes": row.resumes,
        "started_at": row.started_at,
        "first_byte_at": row.first_byte_at,
        "finished_at": row.finished_at,
    }


def _format(filename: str) -> str:
    """`CSV` for `orders-{date}.csv`; empty where the name does not tell."""
    guessed, _ = mimetypes.guess_type(filename)
    ending = filename.rpartition(".")[2]
    return ending.upper() if guessed and ending else ""
