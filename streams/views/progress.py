"""How a user's downloads go, as the portal counts them; and how they end one."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from streams.delivery import abandoned, bundles, stopping
from streams.delivery.zipping import NOT_REACHED
from streams.models import Download, Endpoint, State, User
from streams.views import wording
from streams.views.doors import signed_in

SHOWN = 5
# Of zips, the rows among which the latest are looked for.
LOOKED_AT = SHOWN * bundles.MOST


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "these views need a sign-in"
    return request.user


@signed_in
@never_cache
@require_safe
def of_export(request: HttpRequest, slug: str) -> JsonResponse:
    """This user's latest downloads of the export."""
    endpoint = get_object_or_404(Endpoint.objects.visible_to(_user(request)), slug=slug)
    rows = [shown(row) for row in rows_of(_user(request), endpoint)[:SHOWN]]
    return JsonResponse({"now": timezone.now(), "downloads": rows})


@signed_in
@never_cache
@require_safe
def of_zips(request: HttpRequest) -> JsonResponse:
    """This user's latest zips."""
    return JsonResponse({"now": timezone.now(), "downloads": zips_of(_user(request))})


@signed_in
@require_POST
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Ends a download of one's own, or a zip, whichever process carries it."""
    mine = Download.objects.filter(Q(pk=pk) | Q(bundle=pk), user=_user(request), link=None)
    if not mine.exists():
        raise Http404
    if stopping.cancel(mine, by=_user(request)):
        messages.success(request, _("It will end within seconds."))
    else:
        messages.warning(request, _("It had ended, or cannot be ended from here."))
    # The page that it was asked on, with what was chosen there.
    place = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(place, allowed_hosts=None):
        place = reverse("history")
    return HttpResponseRedirect(place)


def rows_of(user: User, endpoint: Endpoint) -> list[Download]:
    """The latest first. What others fetch by one's links is not one's own; a zip has a page."""
    abandoned.interrupt()
    mine = endpoint.downloads.filter(user=user, counted__isnull=True, bundle__isnull=True)
    return list(mine.order_by("-started_at")[:20])


def zips_of(user: User) -> list[dict[str, Any]]:
    """The latest first, each as one download."""
    abandoned.interrupt()
    mine = user.downloads.filter(bundle__isnull=False).order_by("-started_at")[:LOOKED_AT]
    found: dict[UUID | None, list[Download]] = {}
    for row in mine:
        found.setdefault(row.bundle, []).append(row)
    return [_shown_zip(rows) for rows in list(found.values())[:SHOWN]]


def whole_of(rows: Sequence[Download]) -> Download:
    """A zip as one download, by the records of its exports. Not to be stored."""
    began = min(row.started_at for row in rows)
    ended = [row.finished_at for row in rows if row.finished_at]
    sizes = [row.size for row in rows if row.size is not None]
    begun = [row.first_byte_at for row in rows if row.first_byte_at]
    whole = Download(
        pk=rows[0].bundle,
        slug=rows[0].slug,
        filename=bundles.name_of(began),
        sent=sum(row.sent for row in rows),
        size=sum(sizes) if len(sizes) == len(rows) else None,
        started_at=began,
        first_byte_at=min(begun, default=None),
        finished_at=max(ended) if len(ended) == len(rows) else None,
    )
    amiss = next((row for row in rows if row.state != State.COMPLETE and _is_own(row)), None)
    if whole.finished_at is None:
        whole.state = State.RUNNING
    elif amiss is None:
        whole.state = State.COMPLETE
    else:
        # One that failed before its own first byte cuts what was sent of the others.
        failed = amiss.state == State.FAILED and begun
        whole.state = State.CUT if failed else amiss.state
        whole.reason, whole.cause = amiss.reason, amiss.cause
        whole.stop_reason = amiss.stop_reason
    return whole


def _is_own(row: Download) -> bool:
    return row.reason != NOT_REACHED


def _shown_zip(rows: Sequence[Download]) -> dict[str, Any]:
    whole = whole_of(rows)
    told = shown(whole) | {"parts": reverse("zip_parts", args=[whole.pk])}
    done = sum(row.state == State.COMPLETE for row in rows)
    turn = next((row for row in rows if row.state == State.RUNNING and row.first_byte_at), None)
    amiss = next((row for row in rows if row.reason and _is_own(row)), None)
    if turn is not None:
        told["note"] = _("%(number)d of %(count)d: %(name)s") % {
            "number": done + 1, "count": len(rows), "name": turn.filename,
        }  # fmt: skip
    elif amiss is not None and whole.state != State.RUNNING:
        told["note"] = _("%(done)d of %(count)d were sent; it ended at %(name)s.") % {
            "done": done, "count": len(rows), "name": amiss.filename or amiss.slug,
        }  # fmt: skip
    return told


def shown(row: Download) -> dict[str, Any]:
    """A download as pages tell of it, and as JSON."""
    words = wording.of(row.reason, cause=row.cause, said=row.stop_reason, resumable=row.resumable)
    return {
        "id": str(row.pk),
        "state": row.state,
        "state_text": row.get_state_display(),
        "reason": row.reason,
        "what": str(words.what) if row.reason else "",
        "todo": str(words.todo) if row.reason else "",
        "note": "",
        "done": wording.done(row),
        "part": wording.part(row),
        "sent": row.sent,
        "size": row.size,
        "total": row.total,
        "first": row.first,
        "is_whole": row.is_whole,
        "reached_end": row.reached_end,
        "filename": row.filename,
        "resumable": row.resumable,
        "offloaded": row.offloaded,
        "proof": row.get_proof_display(),
        "sha256": row.sha256,
        "parts": reverse("parts", args=[row.slug, row.pk]),
        "cancel": reverse("cancel", args=[row.pk]),
        "is_ending": row.stop_asked_at is not None,
        "resumes": row.resumes,
        "started_at": row.started_at,
        "first_byte_at": row.first_byte_at,
        "finished_at": row.finished_at,
    }
