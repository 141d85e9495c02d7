"""Pages on which users make share links, see their own, and revoke them."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from streams.access.links import may_share
from streams.delivery import parameters, sharing
from streams.delivery.parameters import ParametersError
from streams.models import Endpoint, ShareLink, User
from streams.views.doors import signed_in

# How many links a page shows, the latest first.
SHOWN = 100
_DAYS = {"1": _("a day"), "7": _("a week"), "30": _("30 days"), "90": _("90 days")}


class LinkForm(forms.Form):
    """What a link is good for."""

    days = forms.ChoiceField(label=_("Works for"), choices=list(_DAYS.items()), initial="7")
    most = forms.IntegerField(
        label=_("Downloads allowed"), min_value=1, max_value=1000, initial=1,
        help_text=_("Going on with one that was interrupted is not another."),
    )  # fmt: skip
    passcode = forms.CharField(
        label=_("Passcode"), required=False, min_length=8, max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("At least 8 characters; tell it by another way than the link. Optional."),
    )  # fmt: skip
    note = forms.CharField(
        label=_("For whom"), required=False, max_length=100,
        help_text=_("For your own list of links. Whoever has the link does not see it."),
    )  # fmt: skip


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "these views need a sign-in"
    return request.user


@signed_in
@never_cache
@sensitive_post_parameters("passcode")
@sensitive_variables()
@require_http_methods(["GET", "HEAD", "POST"])
def share(request: HttpRequest, slug: str) -> HttpResponse:
    """Asks what a link is to be good for; the answer to a POST shows it, this once."""
    endpoint = get_object_or_404(Endpoint.objects.visible_to(_user(request)), slug=slug)
    if not may_share(_user(request), endpoint):
        raise Http404
    try:
        query = parameters.checked(endpoint, request.META["QUERY_STRING"])
    except ParametersError:
        return HttpResponseRedirect(
            f"{reverse('export', args=[slug])}?{request.META['QUERY_STRING']}"
        )
    form = LinkForm(request.POST if request.method == "POST" else None, label_suffix="")
    context = {"endpoint": endpoint, "form": form, "query": query}
    if request.method != "POST" or not form.is_valid():
        return render(request, "streams/share.html", context)
    context |= _made(request, endpoint, {**form.cleaned_data, "query": query})
    return render(request, "streams/shared.html", context)


def _made(request: HttpRequest, endpoint: Endpoint, wanted: dict[str, Any]) -> dict[str, Any]:
    expires_at = timezone.now() + timedelta(days=int(wanted["days"]))
    text = sharing.make(
        _user(request),
        endpoint,
        query=wanted["query"],
        expires_at=expires_at,
        most=wanted["most"],
        passcode=wanted["passcode"],
        note=wanted["note"],
    )
    address = request.build_absolute_uri(reverse("shared", args=[text]))
    return {"address": address, "expires_at": expires_at, **wanted}


@signed_in
@never_cache
@require_safe
def links(request: HttpRequest) -> HttpResponse:
    """One's own links, with how often each was used."""
    mine = ShareLink.objects.filter(user=_user(request)).select_related("endpoint").with_uses()
    return render(request, "streams/links.html", {"links": mine[:SHOWN], "now": timezone.now()})


@signed_in
@require_POST
def revoke(request: HttpRequest, key: str) -> HttpResponse:
    """Ends a link of one's own. What is being downloaded by it goes on."""
    link = get_object_or_404(ShareLink.objects.filter(user=_user(request)), key=key)
    sharing.revoke(link, by=_user(request))
    messages.success(request, _("The link was revoked."))
    return HttpResponseRedirect(reverse("links"))
