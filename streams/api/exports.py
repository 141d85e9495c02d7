"""The catalogue: what the token's user may have."""

from datetime import datetime
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse
from ninja import Router, Schema
from ninja.pagination import paginate

from streams.access.links import may_share
from streams.api.asking import Text, user_of
from streams.api.paging import Pages
from streams.models import Download, Endpoint, Health

router = Router(tags=["exports"])


class ParameterOut(Schema):
    """What may be chosen, in the query of `download`. `choices` are of the type `choice`."""

    name: str
    label: str
    type: str
    required: bool
    default: str
    choices: list[str]


class ExportOut(Schema):
    """One export.

    `size` (bytes), `sha256` and `fetched_at` are of the last whole download of anybody; null where
    there was none or no digest, and where parameters make each another file.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "slug": "orders",
                    "title": "Orders",
                    "description": "All orders, anew each night.",
                    "available": True,
                    "shareable": False,
                    "parameters": [
                        {"name": "year", "label": "Year", "type": "choice", "required": True,
                         "default": "2026", "choices": ["2025", "2026"]},
                    ],
                    "size": None,
                    "sha256": None,
                    "fetched_at": None,
                    "page": "https://exports.example.com/exports/orders/",
                    "download": "https://exports.example.com/exports/orders/download",
                }
            ]
        }
    }  # fmt: skip

    slug: str
    title: str
    description: str
    available: bool
    shareable: bool
    parameters: list[ParameterOut]
    size: int | None
    sha256: str | None
    fetched_at: datetime | None
    page: str
    download: str

    @staticmethod
    def resolve_available(export: Any) -> bool:
        return bool(export.enabled and export.health != Health.FAILING)

    @staticmethod
    def resolve_shareable(export: Endpoint, context: Any) -> bool:
        return may_share(user_of(context["request"]), export)

    @staticmethod
    def resolve_parameters(export: Endpoint) -> list[dict[str, Any]]:
        return [_parameter(param) for param in export.params]

    @staticmethod
    def resolve_size(export: Any) -> int | None:
        return None if export.params else export.last_size

    @staticmethod
    def resolve_sha256(export: Any) -> str | None:
        return None if export.params else export.last_sha256 or None

    @staticmethod
    def resolve_fetched_at(export: Any) -> datetime | None:
        return None if export.params else export.last_at

    @staticmethod
    def resolve_page(export: Endpoint, context: Any) -> str:
        return _address(context["request"], "export", export)

    @staticmethod
    def resolve_download(export: Endpoint, context: Any) -> str:
        return _address(context["request"], "download", export)


@router.get("/exports", response=list[ExportOut], summary="The catalogue")
@paginate(Pages, by=("slug",))
def exports(request: HttpRequest) -> QuerySet[Endpoint]:
    """What the token's user may have, whatever the token may download of it."""
    return _exports(request)


@router.get("/exports/{slug}", response=ExportOut, summary="An export")
def export(request: HttpRequest, slug: Text) -> Endpoint:
    """Its bytes are at `download`, with the same token."""
    return get_object_or_404(_exports(request), slug=slug)


def _exports(request: HttpRequest) -> QuerySet[Endpoint]:
    whole = Download.objects.whole().filter(endpoint=OuterRef("pk"))
    last = whole.order_by("-started_at")
    return (
        Endpoint.objects.visible_to(user_of(request))
        .with_health()
        .annotate(
            last_size=Subquery(last.values("sent")[:1]),
            last_sha256=Subquery(last.values("sha256")[:1]),
            last_at=Subquery(last.values("finished_at")[:1]),
        )
    )


def _parameter(param: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": param["name"],
        "label": param.get("label") or param["name"],
        "type": param.get("type", "text"),
        "required": param.get("required", False),
        "default": str(param.get("default") or ""),
        "choices": [str(choice) for choice in param.get("choices") or []],
    }


def _address(request: HttpRequest, name: str, export: Endpoint) -> str:
    return request.build_absolute_uri(reverse(name, args=[export.slug]))
