"""Endpoints, as operators see them. They are changed by the registry file, or at /operate/."""

from datetime import datetime
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from ninja.pagination import paginate

from streams.api.asking import Text, having, staff
from streams.api.paging import Pages
from streams.models import Auth, Delivery, Endpoint, Grant, Health, Kind

router = Router(tags=["endpoints"])


class EndpointOut(Schema):
    """What the registry file says of it, and its health by the doctor's last run.

    `operators` is the group whose staff operate it (null: all staff), `groups` may download.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "slug": "orders",
                    "title": "Orders",
                    "description": "",
                    "kind": "function-url",
                    "url": "https://abc.lambda-url.eu-central-1.on.aws/",
                    "function": "",
                    "bucket": "",
                    "key": "",
                    "region": "eu-central-1",
                    "role_arn": "",
                    "auth": "secret-header",
                    "secret": "orders",
                    "delivery": "stream",
                    "filename": "orders-{date}.csv",
                    "limits": None,
                    "everyone": False,
                    "groups": ["finance"],
                    "operators": None,
                    "shareable": False,
                    "enabled": True,
                    "health": "healthy",
                    "health_reason": "",
                    "examined_at": "2026-11-26T15:00:00Z",
                    "updated_at": "2026-11-20T08:00:00Z",
                }
            ]
        }
    }

    slug: str
    title: str
    description: str
    kind: Kind
    url: str
    function: str
    bucket: str
    key: str
    region: str
    role_arn: str
    auth: Auth
    secret: str | None
    delivery: Delivery
    filename: str
    limits: dict[str, Any] | None
    everyone: bool
    groups: list[str]
    operators: str | None
    shareable: bool
    enabled: bool
    health: Health
    health_reason: str | None
    examined_at: datetime | None
    updated_at: datetime

    @staticmethod
    def resolve_secret(endpoint: Endpoint) -> str | None:
        return endpoint.secret.name if endpoint.secret else None

    @staticmethod
    def resolve_groups(endpoint: Any) -> list[str]:
        return sorted(grant.group.name for grant in endpoint.standing_grants)

    @staticmethod
    def resolve_operators(endpoint: Endpoint) -> str | None:
        return endpoint.operators.name if endpoint.operators else None


@router.get("/endpoints", response=list[EndpointOut], summary="Endpoints")
@paginate(Pages, by=("slug",))
def endpoints(request: HttpRequest, enabled: bool | None = None) -> QuerySet[Endpoint]:
    """Those that the token's user operates."""
    return having(_operated(request), enabled=enabled)


@router.get("/endpoints/{slug}", response=EndpointOut, summary="An endpoint")
def endpoint(request: HttpRequest, slug: Text) -> Endpoint:
    """What the doctor found is at `/endpoints/{slug}/doctor`."""
    return get_object_or_404(_operated(request), slug=slug)


def _operated(request: HttpRequest) -> QuerySet[Endpoint]:
    found = Endpoint.objects.operable_by(staff(request, "streams.view_endpoint")).with_health()
    standing = Prefetch(
        "grants", Grant.objects.standing().select_related("group"), to_attr="standing_grants"
    )
    return found.select_related("secret", "operators").prefetch_related(standing)
