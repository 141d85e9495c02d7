"""API tokens: `spw_<key>_<secret>`, kept as a public key and a keyed digest."""

import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from streams.access.guessing import count_guess, refuse_guessing
from streams.models import ApiToken, Endpoint, Scope, User

# Of one user, at a time.
MOST = 50

_FORM = re.compile(r"spw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
# Under which tokens that do not exist are counted.
_MISSING = "none"


def _digest(text: str) -> str:
    return salted_hmac("streams.api_token", text, algorithm="sha256").hexdigest()


def issue(
    user: User,
    *,
    name: str = "",
    expires_at: datetime | None = None,
    scope: Scope = Scope.EVERYTHING,
    exports: Iterable[Endpoint] = (),
) -> str:
    """Makes a token and gives it, this once. `exports` are for the scope "chosen"."""
    key, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user, name=name, key=key, digest=_digest(secret), expires_at=expires_at, scope=scope
    )
    token.endpoints.set(exports)
    return f"spw_{key}_{secret}"


def has_most(user: User) -> bool:
    """Whether a page makes no more for this user."""
    return ApiToken.objects.usable().filter(user=user).count() >= MOST


def key_of(text: str) -> str:
    """The public part of a token that was issued."""
    return text.split("_")[1]


def authenticate(text: str, request: HttpRequest | None = None) -> ApiToken | None:
    """The token that `text` is, with its user; None if it opens nothing.

    With `request`, whoever is wrong too often gets a `TooManyGuessesError`: about one token, so
    that a program with an old secret shuts nobody out but itself.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    token = ApiToken.objects.usable().select_related("user").filter(key=match[1]).first()
    counted = token.key if token else _MISSING
    if request is not None:
        refuse_guessing(request, counted)
    if token is None or not hmac.compare_digest(token.digest, _digest(match[2])):
        if request is not None:
            count_guess(request, counted)
        return None
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at < now - timedelta(minutes=1):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token
