"""Secrets: header, fingerprints, states and times. Values are not even read."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Field, Router, Schema
from ninja.pagination import paginate

from streams.api.asking import Text, staff
from streams.api.paging import Pages
from streams.models import Rotation, Secret, SecretVersion
from streams.models.secrets import Store
from streams.rotation import calendar

router = Router(tags=["secrets"])


class VersionOut(Schema):
    """One value, by its fingerprint: a keyed digest, which is no help in guessing it."""

    number: int
    fingerprint: str
    # No enumeration by name: another one has the same name in the document.
    state: Annotated[str, Field(json_schema_extra={"enum": SecretVersion.State.values})]
    created_at: datetime


class SecretOut(Schema):
    """A secret header. `fingerprint` is its current value's; null where it has none yet.

    `next_rotation` is null where it does not rotate on its own; `rotation` is the id of the one
    that is under way.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "name": "orders",
                    "header": "x-secret-header",
                    "store": "database",
                    "fingerprint": "0a1b2c3d4e5f",
                    "rotate_every": "P30D",
                    "window": "02:00-04:00",
                    "paused": False,
                    "next_rotation": "2026-12-20T02:10:00Z",
                    "overdue": False,
                    "rotation": None,
                    "versions": [
                        {"number": 2, "fingerprint": "0a1b2c3d4e5f", "state": "current",
                         "created_at": "2026-11-20T02:10:00Z"},
                        {"number": 1, "fingerprint": "f5e4d3c2b1a0", "state": "retired",
                         "created_at": "2026-10-21T02:10:00Z"},
                    ],
                }
            ]
        }
    }  # fmt: skip

    name: str
    header: str
    store: Store
    fingerprint: str | None
    rotate_every: timedelta | None
    window: str | None
    paused: bool
    next_rotation: datetime | None
    overdue: bool
    rotation: int | None
    versions: list[VersionOut]

    @staticmethod
    def resolve_fingerprint(secret: Secret) -> str | None:
        current = SecretVersion.State.CURRENT
        return next((v.fingerprint for v in secret.versions.all() if v.state == current), None)

    @staticmethod
    def resolve_paused(secret: Secret) -> bool:
        return secret.rotation_paused

    @staticmethod
    def resolve_next_rotation(secret: Secret) -> datetime | None:
        return calendar.next_due(secret)

    @staticmethod
    def resolve_overdue(secret: Secret) -> bool:
        return calendar.is_overdue(secret, timezone.now())

    @staticmethod
    def resolve_rotation(secret: Any) -> int | None:
        return next((rotation.pk for rotation in secret.under_way), None)


@router.get("/secrets", response=list[SecretOut], summary="Secrets")
@paginate(Pages, by=("name",))
def secrets(request: HttpRequest) -> QuerySet[Secret]:
    """Those whose rotation touches only endpoints that the token's user operates."""
    return _operated(request)


# A name may have slashes, as those in Secrets Manager do.
@router.get("/secrets/{path:name}", response=SecretOut, summary="A secret")
def secret(request: HttpRequest, name: Text) -> Secret:
    """Never its value."""
    return get_object_or_404(_operated(request), name=name)


def _operated(request: HttpRequest) -> QuerySet[Secret]:
    mine = Secret.objects.operable_by(staff(request, "streams.view_secret"))
    return calendar.with_past(mine).prefetch_related(
        Prefetch("versions", SecretVersion.objects.defer("value")),
        Prefetch("rotations", Rotation.objects.open(), to_attr="under_way"),
    )
