"""Members of some groups need a second factor. Until they have one, they are nobody here."""

from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists
from django.http import HttpRequest

from streams.models import GroupPolicy, User

# Where one sets it up, proves who one is for that, and signs in and out.
OPEN = tuple(
    f"/accounts/{part}/" for part in ("login", "logout", "reauthenticate", "password", "security")
)
_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def is_missing(user: User | AnonymousUser) -> bool:
    """Whether a group of theirs demands a second factor, and they have none."""
    if not isinstance(user, User):
        return False
    has_one = Exists(Authenticator.objects.filter(user=user, type__in=_FACTORS))
    demanding = GroupPolicy.objects.filter(~has_one, second_factor=True, group__user=user)
    return demanding.exists()


def admitted(request: HttpRequest) -> User | AnonymousUser:
    """The session's user; nobody where a second factor is missing, but for the pages to add one.

    So no page can forget to ask. Asks the database.
    """
    user = get_user(request)
    if not isinstance(user, User):
        return AnonymousUser()
    if not request.path.startswith(OPEN) and is_missing(user):
        return AnonymousUser()
    return user
