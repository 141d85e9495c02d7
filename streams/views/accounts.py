"""Signing in, and what users see of their own account."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.views import LoginView, PasswordChangeView
from allauth.usersessions.models import UserSession
from allauth.usersessions.views import ListUserSessionsView
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from streams import audit
from streams.accounts import limits, second_factor
from streams.models import User
from streams.views.doors import signed_in


class SignInView(LoginView):  # type: ignore[misc]
    """By password, passkey or provider. Whoever still needs a second factor is led to it."""

    template_name = "account/login.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if isinstance(request.user, User) and second_factor.is_missing(request.user):
            return redirect("mfa_index")
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {"mail": bool(settings.EMAIL_HOST)}

    def form_invalid(self, form: Any) -> HttpResponse:
        answer: HttpResponse = super().form_invalid(form)
        if form.has_error("__all__", limits.CODE):
            answer.status_code = 429
        return answer


def reset(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page for lost passwords. Without a mail server nobody can be sent a link: there is none."""

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.EMAIL_HOST:
            raise Http404
        return view(request, *args, **kwargs)

    return page


_change_password = PasswordChangeView.as_view()


@signed_in
def change_password(request: HttpRequest) -> HttpResponse:
    """For accounts that have one. The others came in by a provider, and stay with it."""
    assert isinstance(request.user, User)
    if not request.user.has_usable_password():
        raise PermissionDenied
    answer: HttpResponse = _change_password(request)
    return answer


class SessionsView(ListUserSessionsView):  # type: ignore[misc]
    """One's own sessions; a POST ends all but the one that it came with."""

    def form_valid(self, form: Any) -> HttpResponse:
        answer: HttpResponse = super().form_valid(form)
        user = self.request.user
        audit.record("session.ended", by=user, what=f"{user} everywhere else")
        return answer


@signed_in
@require_POST
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    """Signs out another browser of the same user's."""
    assert isinstance(request.user, User)
    session = get_object_or_404(UserSession, pk=pk, user=request.user)
    session.end()
    audit.record("session.ended", by=request.user, what=f"{request.user} at {session.ip}")
    return redirect("usersessions_list")
