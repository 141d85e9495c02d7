"""Who signs in and out, and what becomes of their passwords and second factors, as signals tell."""

from datetime import timedelta
from typing import Any

from allauth.account.signals import password_changed, password_reset
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import (
    authentication_failed,
    authenticator_added,
    authenticator_removed,
    authenticator_reset,
)
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.signals import social_account_added, social_account_removed
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.utils import timezone

from streams.audit.log import record
from streams.models import AuditEntry, User

# Beyond so many within the hour, refusals are not recorded one by one: whoever can knock could
# otherwise make the log as long as they like.
REFUSALS, WITHIN = 100, timedelta(hours=1)


@receiver(user_logged_in, dispatch_uid="audit")
def _signed_in(user: User, **_: Any) -> None:
    record("session.signed-in", by=user, what=user.get_username())


@receiver(user_logged_out, dispatch_uid="audit")
def _signed_out(user: User | None, **_: Any) -> None:
    if user is not None:
        record("session.signed-out", by=user, what=user.get_username())


@receiver(user_login_failed, dispatch_uid="audit")
def _refused(credentials: dict[str, Any], **_: Any) -> None:
    name = str(credentials.get("username", ""))
    # Whoever errs may have entered their password here: a name that is none is not written down.
    known = User.objects.filter(username=name).exists() if "\0" not in name else False
    record_refusal(name if known else "an unknown user", "password")


@receiver(authentication_failed, dispatch_uid="audit")
def _second_factor_refused(user: User, **_: Any) -> None:
    record_refusal(user.get_username(), "second factor")


def record_refusal(what: str, by_what: str) -> None:
    """Somebody was not let in; `by_what` is in words what they had shown."""
    lately = AuditEntry.objects.filter(time__gt=timezone.now() - WITHIN)
    recorded = lately.filter(action="session.refused").count()
    if recorded < REFUSALS:
        record("session.refused", by=None, what=what, details={"by": by_what})
    elif not lately.filter(action="session.refused-often").exists():
        details = {"within the hour": str(recorded)}
        record("session.refused-often", by=None, what="more than is recorded", details=details)


@receiver(authenticator_added, dispatch_uid="audit")
def _factor_added(user: User, authenticator: Authenticator, **_: Any) -> None:
    record("second-factor.added", by=user, what=_factor(user, authenticator))


@receiver(authenticator_removed, dispatch_uid="audit")
def _factor_removed(user: User, authenticator: Authenticator, **_: Any) -> None:
    record("second-factor.removed", by=user, what=_factor(user, authenticator))


@receiver(authenticator_reset, dispatch_uid="audit")
def _factor_renewed(user: User, authenticator: Authenticator, **_: Any) -> None:
    record("second-factor.renewed", by=user, what=_factor(user, authenticator))


def _factor(user: User, authenticator: Authenticator) -> str:
    return f"{authenticator.type} of {user.get_username()}"


@receiver(password_changed, dispatch_uid="audit")
def _password_changed(user: User, **_: Any) -> None:
    record("user.changed", by=user, what=user.get_username(), details={"changes": "own password"})


@receiver(password_reset, dispatch_uid="audit")
def _password_reset(user: User, **_: Any) -> None:
    details = {"changes": "own password, by a link in a mail"}
    record("user.changed", by=user, what=user.get_username(), details=details)


@receiver(social_account_added, dispatch_uid="audit")
def _linked(sociallogin: SocialLogin, **_: Any) -> None:
    user = sociallogin.user
    record("user.linked", by=user, what=f"{user} with {sociallogin.account.provider}")


@receiver(social_account_removed, dispatch_uid="audit")
def _unlinked(socialaccount: SocialAccount, **_: Any) -> None:
    user = socialaccount.user
    record("user.unlinked", by=user, what=f"{user} from {socialaccount.provider}")
