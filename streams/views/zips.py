"""Several exports as one zip: the page that asks for it, and its bytes."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import OuterRef, Subquery
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from streams.access.identity import identify
from streams.delivery import bundles, downloads, parameters
from streams.delivery.bundles import MemberUnavailableError
from streams.delivery.downloads import NotVisibleError, Permitted
from streams.delivery.parameters import ParametersError
from streams.delivery.stopping import StoppedError
from streams.models import Download, Endpoint, State, User
from streams.net.errors import PreconditionError
from streams.views import pages, progress
from streams.views.doors import signed_in
from streams.views.downloads import (
    NOT_PERMITTED,
    client_socket,
    is_again,
    not_permitted,
    origin_error,
    refusal,
    response,
    stopped,
)


@signed_in
@never_cache
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """What was picked in the catalogue, how large it is, and the button."""
    wanted = _wanted(request)
    if not wanted:
        messages.warning(request, _("Pick the exports first that you want in one zip."))
        return HttpResponseRedirect(reverse("catalogue"))
    assert isinstance(request.user, User)
    exports = _exports(request.user, wanted)
    sizes = [export["size"] for export in exports]
    zips = progress.zips_of(request.user)
    sent = next((row for row in zips if row["state"] == State.COMPLETE), None)
    context = {
        "exports": exports,
        "total": sum(size for size in sizes if size is not None),
        "unknown": sizes.count(None),
        "too_many": len(wanted) > bundles.MOST,
        "most": bundles.MOST,
        "ready": len(wanted) <= bundles.MOST and not any(one["wrong"] for one in exports),
        "name": bundles.name_of(timezone.now()),
        "address": f"{reverse('zip_download')}?{urlencode({'export': wanted}, doseq=True)}",
        "sent": sent,
        "parts": sent["parts"] if sent else "",
        "panels": [row for row in zips if row["state"] == State.RUNNING],
        "history": [row for row in zips if row["state"] != State.RUNNING],
    }
    return render(request, "streams/zip.html", context)


def _wanted(request: HttpRequest) -> list[str]:
    """Slugs, or slugs with a query, each once."""
    return list(dict.fromkeys(one for one in request.GET.getlist("export") if one))


def _exports(user: User, wanted: list[str]) -> list[dict[str, Any]]:
    """What is known of each, in the order that they were picked. 404 where there is none."""
    asked = {text: text.partition("?") for text in wanted}
    whole = Download.objects.whole().filter(endpoint=OuterRef("pk"))
    visible = Endpoint.objects.visible_to(user).filter(slug__in=[one[0] for one in asked.values()])
    last = Subquery(whole.order_by("-started_at").values("sent")[:1])
    found: dict[str, Any] = {one.slug: one for one in visible.annotate(last_size=last)}
    if any(slug not in found for slug, _mark, _query in asked.values()):
        raise Http404
    told = []
    for slug, _mark, query in asked.values():
        endpoint = found[slug]
        # What others chose of it has another size.
        size = None if endpoint.params or query else endpoint.last_size
        told.append({
            "endpoint": endpoint, "query": query, "size": size, "wrong": _wrong(endpoint, query),
        })  # fmt: skip
    return told


def _wrong(endpoint: Endpoint, query: str) -> str:
    try:
        parameters.checked(endpoint, query)
    except ParametersError as exc:
        return str(exc)
    return ""


@signed_in
@never_cache
@require_safe
def parts(request: HttpRequest, pk: UUID) -> JsonResponse:
    """What a zip that was sent whole has in it, in order: of each file what `pages.parts` says."""
    assert isinstance(request.user, User)
    rows = list(request.user.downloads.filter(bundle=pk).order_by("started_at"))
    if not rows or any(row.state != State.COMPLETE for row in rows):
        raise Http404
    return JsonResponse(
        {"members": [{"name": row.filename, **pages.parts_of(row)} for row in rows]}
    )


@csrf_exempt  # it changes nothing, and answers other methods with 405
async def download(request: HttpRequest) -> HttpResponseBase:
    """The bytes of the zip, or an error that says what to do. A range of it cannot be had."""
    if request.method != "GET":
        return HttpResponseNotAllowed(["GET"])
    wanted = _wanted(request)
    if not 0 < len(wanted) <= bundles.MOST:
        message = _("A zip has one export at least, and %d at most.") % bundles.MOST
        hint = _("Name each one so: ?export=first&export=second.")
        return refusal(request, 400, "zip_invalid", message, hint)
    try:
        permitted = await downloads.patiently(_permit, request, wanted)
    except NotVisibleError as exc:
        message = _("There is no such export: %s") % str(exc)[:100]
        return refusal(request, 404, "not_found", message, _("Check the link."))
    except NOT_PERMITTED as exc:
        return not_permitted(request, exc)
    except PreconditionError as exc:
        return origin_error(request, exc, "")
    try:
        caller = request.headers.get("traceparent", "")
        started = await bundles.start(permitted, client_socket(request), caller)
    except MemberUnavailableError as exc:
        failed = exc.permitted
        return origin_error(request, exc.cause, str(failed.record.pk), failed.endpoint.title)
    except StoppedError as exc:
        return stopped(request, exc, str(permitted[0].record.bundle))
    return response(started)


def _permit(request: HttpRequest, wanted: list[str]) -> "list[Permitted]":
    if_match = request.headers.get("If-Match")
    again = is_again(request)
    return list(bundles.permit(identify(request), wanted, again=again, if_match=if_match))
