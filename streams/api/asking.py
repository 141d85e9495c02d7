"""Who asks, for what, and in which form they may say it."""

from datetime import datetime
from typing import Annotated, Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Header
from pydantic import AfterValidator, AwareDatetime, Field

from streams.models import ApiToken, User

# No database stores NUL, and PostgreSQL refuses to look for it.
_STORABLE = r"^[^\x00]*$"
Text = Annotated[str, Field(max_length=300, pattern=_STORABLE)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=_STORABLE,
        description="For 24 hours the same request with the same key has the same answer.",
    ),
]


def _of_our_time(moment: datetime) -> datetime:
    """What is far from now overflows in some zone, or in some database."""
    if not 2000 <= moment.year < 3000:
        raise ValueError("a time between the years 2000 and 3000")
    return moment


Moment = Annotated[
    Annotated[AwareDatetime, AfterValidator(_of_our_time)],
    Field(description="With its zone, such as 2026-11-26T15:00:00Z."),
]


class ScopeError(Exception):
    """The token is good, and not for this."""


def user_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def token_of(request: Any) -> ApiToken:
    assert isinstance(request.auth, ApiToken)
    return request.auth


def staff(request: HttpRequest, permission: str) -> User:
    """Who asks, if their role has this permission. Raises `PermissionDenied`."""
    user = user_of(request)
    if not (user.is_staff and user.has_perm(permission)):
        raise PermissionDenied
    return user


def between(
    rows: QuerySet[Any], field: str, since: datetime | None, until: datetime | None
) -> QuerySet[Any]:
    """Those from `since` on and before `until`."""
    if since:
        rows = rows.filter(**{f"{field}__gte": since})
    return rows.filter(**{f"{field}__lt": until}) if until else rows


def having(rows: QuerySet[Any], **wanted: Any) -> QuerySet[Any]:
    """Those that have what was asked for; None asks for nothing."""
    return rows.filter(**{name: value for name, value in wanted.items() if value is not None})
