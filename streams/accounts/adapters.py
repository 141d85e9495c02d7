"""The decisions that allauth leaves to its adapters."""

import ipaddress
import logging
import time
from threading import Thread
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.http import HttpRequest
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _

from streams.accounts import limits
from streams.audit.source import address_of
from streams.models import User
from streams.models.fields import decrypted, fernet

logger = logging.getLogger("streams.accounts")


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Passwords, limits, redirects and mails."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": _("User name or password is wrong."),
        "incorrect_password": _("The password is wrong."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """As the audit log has it. What is no address is one address, whose limits all share."""
        try:
            return str(ipaddress.ip_address(address_of(request)))
        except ValueError:
            return "0.0.0.0"  # noqa: S104 - it is compared, and nothing listens there

    def is_safe_url(self, url: str) -> bool:
        # allauth would lead to every host of SPILLWAY_ALLOWED_HOSTS, over http as well.
        request = context.request
        return url_has_allowed_host_and_scheme(
            url, {request.get_host()}, require_https=request.is_secure()
        )

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        # With the host in it, as allauth has it, each port in a Host field would be a new start.
        # In upper case, as databases compare names: to PostgreSQL, a long s is an S, too.
        return str(credentials.get("username", "")).upper()

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError as exc:
            if exc.code != limits.CODE:
                raise
            key = self._get_login_attempts_cache_key(request, **credentials)
            raise limits.failed_too_often(key) from None

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Not within five minutes of signing in, nor of those who have nothing to prove it with."""
        user = context.request.user
        records = get_authentication_records(context.request, user)
        fresh = any(time.time() - record["at"] < 300 for record in records)
        return not fresh and bool(get_reauthentication_flows(user))

    def get_reset_password_from_key_url(self, key: str) -> str:
        """On the portal's own address where it is known: a Host field is the asker's to choose."""
        uid, _dash, rest = key.partition("-")
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": rest})
        base: str = settings.BASE_URL
        return base + path if base else str(context.request.build_absolute_uri(path))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """In a thread, so that the answer tells nothing: not by its time, nor by an error."""
        message = self.render_mail(template_prefix, email, {"email": email, **context})
        Thread(target=_send, args=[message], daemon=True).start()


def _send(message: EmailMessage) -> None:
    try:
        message.send()
    except OSError:
        logger.warning("account_mail_failed", exc_info=True)


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """What second factors are made of is encrypted at rest, like every other secret."""

    def encrypt(self, text: str) -> str:
        return fernet().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return decrypted(encrypted_text)

    def get_totp_label(self, user: User) -> str:
        return user.get_username()

    def _get_user_identifier(self, user: User) -> str:
        return user.get_username()

    def _get_site_name(self) -> str:
        return "Spillway"


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Who may come in by a provider."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Links an account by its e-mail address, where the provider's setting wants it.

        The address must be verified by the provider, and be that of one active account. Nobody
        sets the address of their own account here: an administrator did.
        """
        connecting = sociallogin.state.get("process") == "connect"
        if connecting or sociallogin.is_existing or not self._says(sociallogin, "link_email"):
            return
        emails = [one.email for one in sociallogin.email_addresses if one.verified]
        if len(emails) == 1 and (user := _only_user_of(emails[0])):
            sociallogin.connect(request, user)

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> Any:
        """A new account, with an e-mail address only if the provider has verified it.

        Else somebody could take another's address beforehand, and be linked with them later.
        """
        verified = [one for one in sociallogin.email_addresses if one.verified]
        if sociallogin.user.email.lower() not in {one.email.lower() for one in verified}:
            sociallogin.user.email = ""
        sociallogin.email_addresses = verified
        return super().save_user(request, sociallogin, form)

    def authenticate_by_email(self, sociallogin: SocialLogin) -> None:
        """Never by allauth's own way, which takes the account's password away."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """Where its setting says so, and nobody has this e-mail address yet."""
        # allauth's own look-up takes letters as they are written.
        emails = [one.email for one in sociallogin.email_addresses]
        taken = any(
            User.objects.filter(email__iexact=email).exists()
            or EmailAddress.objects.filter(email__iexact=email).exists()
            for email in emails
        )
        if self._says(sociallogin, "create") and not taken:
            return True
        raise ImmediateHttpResponse(render(request, "account/signup_closed.html", status=403))

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, exception: Any = None, **kwargs: Any
    ) -> None:
        """Its kind alone: the text may hold what the provider has answered."""
        kind = type(exception).__name__ if exception else ""
        logger.warning("provider_sign_in_failed", extra={"provider": provider.name, "kind": kind})

    def _says(self, sociallogin: SocialLogin, setting: str) -> bool:
        return bool(sociallogin.provider.app.settings[setting])


def _only_user_of(email: str) -> User | None:
    found = list(User.objects.filter(email__iexact=email)[:2])
    return found[0] if len(found) == 1 and found[0].is_active else None
