"""allauth's forms, where ours differ."""

from typing import Any

from allauth.account.forms import ChangePasswordForm as BaseChangePasswordForm
from allauth.account.forms import LoginForm
from allauth.account.forms import ReauthenticateForm as BaseReauthenticateForm
from allauth.account.forms import ResetPasswordForm as BaseResetPasswordForm
from allauth.mfa.base.forms import AuthenticateForm, BaseAuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as BaseSecondFactorAgainForm
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from streams.accounts import limits
from streams.models import User


class SignInForm(LoginForm):  # type: ignore[misc]
    """Its field is called `username` in the page, which scripts rely on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("User name")
        self.fields["login"].widget.attrs = {
            "autocomplete": "username webauthn",
            "autocapitalize": "none",
            "autofocus": True,
        }
        self.fields["password"].widget.attrs.pop("placeholder", None)
        # The page has it beside the button.
        self.fields["password"].help_text = ""

    def add_prefix(self, field_name: str) -> str:
        return super().add_prefix("username" if field_name == "login" else field_name)  # type: ignore[no-any-return]


class _Known:
    """Asks for a password; its link for lost ones leads somewhere only where mail can be sent."""

    asks = "password"
    fields: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not settings.EMAIL_HOST:
            self.fields[self.asks].help_text = ""


class ChangePasswordForm(_Known, BaseChangePasswordForm):  # type: ignore[misc]
    asks = "oldpassword"


class ReauthenticateForm(_Known, BaseReauthenticateForm):  # type: ignore[misc]
    pass


class ResetPasswordForm(BaseResetPasswordForm):  # type: ignore[misc]
    """For accounts that have a password: the others are let in elsewhere, or not at all."""

    users: list[User]

    def clean_email(self) -> str:
        email: str = super().clean_email()
        self.users = [user for user in self.users if user.has_usable_password()]
        return email


class _Told(BaseAuthenticateForm):  # type: ignore[misc]
    """Says how long to wait. What browsers and screen readers show is the label alone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].label = _("Code of your app, or a recovery code")
        self.fields["code"].widget.attrs = {"autocomplete": "one-time-code", "autofocus": True}

    def clean_code(self) -> str:
        try:
            code: str = super().clean_code()
        except ValidationError as exc:
            if exc.code == limits.CODE:
                raise limits.failed_too_often(f"mfa-auth-user-{self.user.pk}") from None
            raise
        return code


class SecondFactorForm(_Told, AuthenticateForm):  # type: ignore[misc]
    pass


class SecondFactorAgainForm(_Told, BaseSecondFactorAgainForm):  # type: ignore[misc]
    pass
