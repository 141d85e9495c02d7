"""What follows from somebody's signing in."""

from typing import Any

from allauth.account.signals import user_logged_in
from allauth.socialaccount.models import SocialLogin
from django.dispatch import receiver

from streams.accounts.oidc import take_groups
from streams.models import User


@receiver(user_logged_in, dispatch_uid="groups")
def _by_a_provider(user: User, sociallogin: SocialLogin | None = None, **_: Any) -> None:
    if sociallogin is not None:
        take_groups(user, sociallogin)
