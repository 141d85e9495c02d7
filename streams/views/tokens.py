"""The API tokens of whoever has signed in: to see, make and revoke them."""

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from streams import audit
from streams.access import tokens
from streams.models import ApiToken, Endpoint, Scope, User
from streams.views.doors import signed_in

DAYS = 30
TOO_MANY = _("You have %(most)d tokens. Revoke one that you no longer need.")
_OF_USERS = (Scope.DOWNLOAD, Scope.CHOSEN, Scope.READ)
_OF_STAFF = (*_OF_USERS, Scope.OPERATE)


class TokenForm(forms.Form):
    """What it is for, what it opens, and for how long."""

    name = forms.CharField(label=_("What it is for"), max_length=100)
    scope = forms.ChoiceField(label=_("What it may do"), widget=forms.RadioSelect)
    exports = forms.ModelMultipleChoiceField(
        Endpoint.objects.none(),
        label=_("Which exports, if chosen"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    days = forms.IntegerField(label=_("For how many days"), min_value=1)

    def __init__(self, user: User, data: QueryDict | None = None) -> None:
        most = settings.TOKEN_MAX_LIFE
        first = {"scope": Scope.DOWNLOAD, "days": min(DAYS, most)}
        super().__init__(data, initial=first)
        self.user = user
        given: Any = self.fields
        scopes = _OF_STAFF if user.is_staff else _OF_USERS
        given["scope"].choices = [(scope.value, scope.label) for scope in scopes]
        given["exports"].queryset = Endpoint.objects.visible_to(user).order_by("title")
        given["days"] = forms.IntegerField(
            label=_("For how many days"), min_value=1, max_value=most
        )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("scope") == Scope.CHOSEN and not given.get("exports"):
            self.add_error("exports", _("Choose at least one export."))
        if tokens.has_most(self.user):
            raise ValidationError(TOO_MANY % {"most": tokens.MOST})
        return given

    def issue(self) -> str:
        """Raises nothing once the form is valid."""
        given = self.cleaned_data
        scope = Scope(given["scope"])
        with transaction.atomic():
            text = tokens.issue(
                self.user,
                name=given["name"],
                expires_at=timezone.now() + timedelta(days=given["days"]),
                scope=scope,
                exports=given["exports"] if scope == Scope.CHOSEN else (),
            )
            audit.record(
                "token.added",
                by=self.user,
                what=f"{tokens.key_of(text)} of {self.user}",
                details={"scope": scope, "days": str(given["days"])},
            )
        return text


@signed_in
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def token_list(request: HttpRequest) -> HttpResponse:
    """One's own tokens. A new one is shown in the answer to the form, and nowhere ever again."""
    assert isinstance(request.user, User)
    form, made = TokenForm(request.user), ""
    if request.method == "POST":
        form = TokenForm(request.user, request.POST)
        if form.is_valid():
            made = form.issue()
            form = TokenForm(request.user)
    mine = ApiToken.objects.filter(user=request.user, revoked_at__isnull=True)
    context = {
        "form": form,
        "made": made,
        "tokens": mine.prefetch_related("endpoints"),
        "now": timezone.now(),
    }
    status = 422 if form.errors else 200
    return render(request, "account/tokens.html", context, status=status)


@signed_in
@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Ends one of one's own tokens, at once and for good."""
    assert isinstance(request.user, User)
    token = get_object_or_404(ApiToken, pk=pk, user=request.user)
    with transaction.atomic():
        usable = ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True)
        if usable.update(revoked_at=timezone.now()):
            what = f"{token.key} of {request.user}"
            audit.record("token.revoked", by=request.user, what=what)
    return redirect("tokens")
