"""What follows from somebody's signing in."""

from typing import Any

from allauth.account.signals import user_logged_in
from allauth.socialaccount.models import SocialLogin
from django.contrib.auth.models import Group
from django.dispatch import receiver

from streams import audit
from streams.models import User


@receiver(user_logged_in, dispatch_uid="groups")
def _by_a_provider(user: User, sociallogin: SocialLogin | None = None, **_: Any) -> None:
    if sociallogin is not None:
        _take_groups(user, sociallogin)


def _take_groups(user: User, sociallogin: SocialLogin) -> None:
    """Of the groups that the provider decides upon, the user is in those that it names."""
    settings = sociallogin.provider.app.settings
    decided = set(settings["groups"])
    data = sociallogin.account.extra_data
    told = [data.get(part, {}).get(settings["groups_claim"]) for part in ("userinfo", "id_token")]
    named = next((one for one in told if isinstance(one, list)), [])
    wanted = decided & {name for name in named if isinstance(name, str)}
    there = set(user.groups.filter(name__in=decided).values_list("name", flat=True))
    if wanted == there:
        return
    user.groups.remove(*Group.objects.filter(name__in=there - wanted))
    for name in sorted(wanted - there):
        user.groups.add(Group.objects.get_or_create(name=name)[0])
    changes = [f"joined {name}" for name in sorted(wanted - there)]
    changes += [f"left {name}" for name in sorted(there - wanted)]
    details = {"changes": ", ".join(changes), "by": sociallogin.account.provider}
    audit.record("user.changed", by=user, what=user.get_username(), details=details)
