"""Share links of the token's user: made, listed, revoked."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from ninja import Field, Router, Schema
from ninja.pagination import paginate
from pydantic import ConfigDict

from streams.access import links as access
from streams.api.asking import IdempotencyKey, ScopeError, Text, token_of, user_of
from streams.api.paging import Pages
from streams.api.repeating import once
from streams.delivery import parameters, sharing
from streams.models import Endpoint, ShareLink

router = Router(tags=["share links"])
_EXAMPLE: dict[str, Any] = {
    "key": "0123456789ab",
    "export": "orders",
    "query": "year=2026",
    "note": "the auditors",
    "most": 3,
    "uses": 0,
    "has_passcode": True,
    "created_at": "2026-11-26T15:00:00Z",
    "expires_at": "2026-12-03T15:00:00Z",
    "last_used_at": None,
    "revoked_at": None,
}
_NOTHING = r"^[^\x00]*$"


class LinkIn(Schema):
    """What a link is to be good for. `query` are the export's parameters, as in its address."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"export": "orders", "query": "year=2026", "days": 7, "most": 3,
                 "passcode": "told by telephone", "note": "the auditors"}
            ]
        },
    )  # fmt: skip

    export: Text
    query: Annotated[str, Field(max_length=4000, pattern=_NOTHING)] = ""
    days: Annotated[int, Field(ge=1, le=90)] = 7
    most: Annotated[int, Field(ge=1, le=1000, description="Downloads allowed.")] = 1
    passcode: Annotated[str, Field(min_length=8, max_length=100, pattern=_NOTHING)] | None = None
    note: Annotated[str, Field(max_length=100, pattern=_NOTHING)] = ""


class LinkOut(Schema):
    """A link, without its address, which was shown when it was made."""

    model_config = {"json_schema_extra": {"examples": [_EXAMPLE]}}

    key: str
    export: str
    query: str
    note: str
    most: int
    uses: int
    has_passcode: bool
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    @staticmethod
    def resolve_export(link: ShareLink) -> str:
        return link.endpoint.slug

    @staticmethod
    def resolve_has_passcode(link: ShareLink) -> bool:
        return bool(link.passcode)


class MadeOut(Schema):
    """The link's `address`, this once."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"key": "0123456789ab", "expires_at": "2026-12-03T15:00:00Z",
                 "address": "https://exports.example.com/s/0123456789ab_…"}
            ]
        }
    }  # fmt: skip

    key: str
    expires_at: datetime
    address: str


@router.get("/links", response=list[LinkOut], summary="Your share links")
@paginate(Pages, by=("-created_at", "-id"))
def links(request: HttpRequest) -> QuerySet[ShareLink]:
    """The latest first, also those that have ended."""
    return _mine(request)


@router.get("/links/{key}", response=LinkOut, summary="One of your share links")
def link(request: HttpRequest, key: Text) -> ShareLink:
    """How often it was used, and until when it may be."""
    return get_object_or_404(_mine(request), key=key)


@router.post("/links", response={201: MadeOut}, summary="Make a share link")
def make(request: HttpRequest, wanted: LinkIn, idempotency_key: IdempotencyKey = None) -> Any:
    """Needs a token that may download the export itself: a link is a download."""
    return once(request, idempotency_key, lambda: _made(request, wanted))


@router.post("/links/{key}/revoke", response=LinkOut, summary="Revoke a share link")
def revoke(request: HttpRequest, key: Text) -> ShareLink:
    """What is being downloaded by it goes on. Revoked twice, it is revoked."""
    found = get_object_or_404(_mine(request), key=key)
    sharing.revoke(found, by=user_of(request))
    return _mine(request).get(pk=found.pk)


def _mine(request: HttpRequest) -> QuerySet[ShareLink]:
    mine = ShareLink.objects.filter(user=user_of(request))
    return mine.select_related("endpoint", "user").with_uses()


def _made(request: HttpRequest, wanted: LinkIn) -> MadeOut:
    user = user_of(request)
    visible = Endpoint.objects.visible_to(user)
    endpoint = get_object_or_404(visible, slug=wanted.export)
    if not access.may_share(user, endpoint):
        raise Http404
    # Else a token that downloads nothing would, by a link that it makes.
    if not token_of(request).opens(visible).filter(pk=endpoint.pk).exists():
        raise ScopeError
    expires_at = timezone.now() + timedelta(days=wanted.days)
    text = sharing.make(
        user,
        endpoint,
        query=parameters.checked(endpoint, wanted.query),
        expires_at=expires_at,
        most=wanted.most,
        passcode=wanted.passcode or "",
        note=wanted.note,
    )
    address = request.build_absolute_uri(reverse("shared", args=[text]))
    return MadeOut(key=access.key_of(text), expires_at=expires_at, address=address)
