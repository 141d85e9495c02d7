"""A secret's value, shown to an administrator who has just proven again who they are."""

import time
from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from unfold.widgets import UnfoldAdminPasswordWidget

from streams import audit
from streams.admin.base import staff
from streams.models import AuditEntry, Secret, SecretVersion, User
from streams.models.fields import UndecryptableError

# Seconds for which a password that was entered again is good for.
SURE = 300
_SURE_UNTIL = "sure_until"
# So many wrong ones within this time, and no more are tried.
TRIES, PERIOD = 5, timedelta(minutes=15)
_REFUSED = "secret.reveal-refused"


class PasswordForm(forms.Form):
    """Asks staff for their own password."""

    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, user: User, secret: Secret, *args: Any) -> None:
        super().__init__(*args)
        self._user, self._secret = user, secret

    def clean_password(self) -> None:
        """Is kept nowhere."""
        recent = AuditEntry.objects.filter(
            action=_REFUSED, actor=self._user.get_username(), time__gt=Now() - PERIOD
        )
        with transaction.atomic():
            # Many at once get no more tries than one by one: each waits for the one before it.
            User.objects.select_for_update().get(pk=self._user.pk)
            is_over = recent.count() >= TRIES
            is_right = not is_over and self._user.check_password(self.cleaned_data["password"])
            if not (is_over or is_right):
                audit.record(_REFUSED, by=self._user, what=self._secret.name)
        if is_over:
            raise ValidationError(_("Too many wrong passwords. Wait for a quarter of an hour."))
        if not is_right:
            raise ValidationError(_("This is not your password."))


@never_cache
@sensitive_post_parameters()
@sensitive_variables()
def reveal(request: HttpRequest, secret_id: str, context: dict[str, Any]) -> HttpResponse:
    """Asks first; the answer to a POST has the value, and is kept by nobody."""
    user = staff(request)
    if not user.has_perm("streams.reveal_secret"):
        raise PermissionDenied
    secret = get_object_or_404(Secret.objects.operable_by(user), pk=secret_id)
    context |= {"secret": secret, "title": _("Reveal %s") % secret}
    sure = request.session.get(_SURE_UNTIL, 0) > time.time()
    form = None if sure else PasswordForm(user, secret, request.POST or None)
    if request.method != "POST" or (form and not form.is_valid()):
        return render(request, "admin/streams/secret/reveal.html", context | {"form": form})
    if form:
        request.session[_SURE_UNTIL] = time.time() + SURE
    context |= _revealed(user, secret)
    return render(request, "admin/streams/secret/revealed.html", context)


@transaction.atomic
def _revealed(user: User, secret: Secret) -> dict[str, Any]:
    current = SecretVersion.objects.filter(secret=secret, state=SecretVersion.State.CURRENT)
    try:
        version = current.first()
    except UndecryptableError as exc:
        return {"problem": str(exc)}
    if version is None:
        return {"problem": _("It has no value yet.")}
    details = {"version": str(version.number), "fingerprint": version.fingerprint}
    audit.record("secret.revealed", by=user, what=secret.name, details=details)
    return {"version": version}
