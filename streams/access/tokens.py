"""API tokens: `spw_<key>_<secret>`, kept as a public key and a keyed digest."""

import hmac
import re
import secrets
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.crypto import salted_hmac

from streams.models import ApiToken, User

_FORM = re.compile(r"spw_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


def _digest(text: str) -> str:
    return salted_hmac("streams.api_token", text, algorithm="sha256").hexdigest()


def issue(user: User, *, name: str = "", expires_at: datetime | None = None) -> str:
    """Makes a token and gives it, this once."""
    key, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    ApiToken.objects.create(
        user=user, name=name, key=key, digest=_digest(secret), expires_at=expires_at
    )
    return f"spw_{key}_{secret}"


def key_of(text: str) -> str:
    """The public part of a token that was issued."""
    return text.split("_")[1]


def authenticate(text: str) -> ApiToken | None:
    """The token that `text` is, with its user; None if it opens nothing."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    token = ApiToken.objects.usable().select_related("user").filter(key=match[1]).first()
    if token is None or not hmac.compare_digest(token.digest, _digest(match[2])):
        return None
    now = timezone.now()
    if token.last_used_at is None or token.last_used_at < now - timedelta(minutes=1):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token
