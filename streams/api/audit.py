"""The audit log, to be read."""

from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from ninja.pagination import paginate

from streams.api.asking import Moment, Text, between, having, staff
from streams.api.paging import Pages
from streams.models import AuditEntry, Endpoint, How

router = Router(tags=["audit"])


class EntryOut(Schema):
    """One thing that was done. `actor` is empty where the portal itself or a command did it."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "number": 42,
                    "time": "2026-11-26T15:00:00Z",
                    "actor": "ann",
                    "how": "web",
                    "address": "192.0.2.7",
                    "action": "link.added",
                    "what": "orders",
                    "details": {"link": "0123456789ab"},
                    "previous": "0" * 64,
                    "key_id": "0123456789ab",
                    "digest": "1" * 64,
                    "seal": "2" * 64,
                }
            ]
        }
    }

    number: int
    time: datetime
    actor: str
    how: How
    address: str
    action: str
    what: str
    details: dict[str, str]
    previous: str
    key_id: str
    digest: str
    seal: str


@router.get("/audit", response=list[EntryOut], summary="The audit log")
@paginate(Pages, by=("-number",))
def entries(
    request: HttpRequest,
    actor: Text | None = None,
    action: Text | None = None,
    what: Text | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> QuerySet[AuditEntry]:
    """The latest first. Each filter is a whole name."""
    found = having(_log(request), actor=actor, action=action, what=what)
    return between(found, "time", since, until)


@router.get("/audit/{number}", response=EntryOut, summary="An entry of the audit log")
def entry(request: HttpRequest, number: int) -> AuditEntry:
    """By its number, which counts from 1."""
    return get_object_or_404(_log(request), number=number)


def _log(request: HttpRequest) -> QuerySet[AuditEntry]:
    user = staff(request, "streams.view_auditentry")
    # It names everything: who is kept from one endpoint is kept from it.
    if Endpoint.objects.closed_to(user).exists():
        raise PermissionDenied
    return AuditEntry.objects.all()
