"""What staff may do: three groups, which `migrate` keeps as they are told here."""

from enum import StrEnum
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Q, QuerySet


class Role(StrEnum):
    """The name of its group. Each may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


# Besides seeing everything.
_OPERATES = (
    "add_endpoint", "change_endpoint", "add_grant", "change_grant", "delete_grant",
    "rotate_secret", "change_notice", "change_checkup", "stop_download",
    "change_sharelink",
)  # fmt: skip
_OURS = Q(content_type__app_label="streams") | Q(
    content_type__app_label="auth", content_type__model="group"
)


def permissions_of(role: Role) -> QuerySet[Permission]:
    """Those of our own tables, and of groups."""
    ours = Permission.objects.filter(_OURS)
    if role == Role.ADMINISTRATOR:
        return ours
    seen = Q(codename__startswith="view_")
    return ours.filter(seen | Q(codename__in=_OPERATES) if role == Role.OPERATOR else seen)


def make_groups(**_: Any) -> None:
    """Makes the three groups, or gives them again what is theirs. For `post_migrate`."""
    for role in Role:
        group, _created = Group.objects.get_or_create(name=role)
        group.permissions.set(permissions_of(role))
