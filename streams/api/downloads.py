"""The records of downloads: one's own, and for operators those of all that they operate."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from ninja.pagination import paginate

from streams.api.asking import Moment, Text, between, having, staff, user_of
from streams.api.paging import Pages
from streams.delivery import abandoned
from streams.models import Download, Proof, State

router = Router(tags=["downloads"])
_LATEST_FIRST = ("-started_at", "-id")
_EXAMPLE: dict[str, Any] = {
    "id": "4f0c7f0e-5f43-4a3c-8a51-3d5a9d6f0b1e",
    "export": "orders",
    "state": "complete",
    "reason": "",
    "filename": "orders-2026-11-26.csv",
    "status": 200,
    "first": 0,
    "sent": 1048576,
    "size": 1048576,
    "total": 1048576,
    "proof": "sha256",
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "resumable": True,
    "resumes": 0,
    "bundle": None,
    "started_at": "2026-11-26T15:00:00Z",
    "first_byte_at": "2026-11-26T15:00:01Z",
    "finished_at": "2026-11-26T15:00:09Z",
}


class DownloadOut(Schema):
    """One answer with bytes, from byte `first` on.

    `size` is how long the answer was to be, `total` the whole file (null: not told), `sent` what it
    was. `sha256` is of the bytes that were sent, and empty unless they are complete. Those with the
    same `bundle` were sent as one zip.
    """

    model_config = {"json_schema_extra": {"examples": [_EXAMPLE]}}

    id: UUID
    export: str
    state: State
    reason: str
    filename: str
    status: int | None
    first: int
    sent: int
    size: int | None
    total: int | None
    proof: Proof
    sha256: str
    resumable: bool
    resumes: int
    bundle: UUID | None
    started_at: datetime
    first_byte_at: datetime | None
    finished_at: datetime | None

    @staticmethod
    def resolve_export(download: Download) -> str:
        return download.slug


class AnyDownloadOut(DownloadOut):
    """Besides: whose, from where, and what the doctor and operators had to say of it."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                _EXAMPLE
                | {"username": "ann", "address": "192.0.2.7", "cause": "", "diagnosis": "",
                   "stopped_by": "", "stop_reason": ""}
            ]
        }
    }  # fmt: skip

    username: str
    address: str
    cause: str
    diagnosis: str
    stopped_by: str
    stop_reason: str


@router.get("/downloads", response=list[DownloadOut], summary="Your downloads")
@paginate(Pages, by=_LATEST_FIRST)
def downloads(
    request: HttpRequest,
    state: State | None = None,
    export: Text | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> QuerySet[Download]:
    """The latest first; those that others made by your links are not among them."""
    return _filtered(_mine(request), state, export, since, until)


@router.get("/downloads/{pk}", response=DownloadOut, summary="One of your downloads")
def download(request: HttpRequest, pk: UUID) -> Download:
    """Ask again to see how it goes."""
    return get_object_or_404(_mine(request), pk=pk)


@router.get("/operate/downloads", response=list[AnyDownloadOut], summary="Everybody's downloads")
@paginate(Pages, by=_LATEST_FIRST)
def all_downloads(
    request: HttpRequest,
    state: State | None = None,
    export: Text | None = None,
    username: Text | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> QuerySet[Download]:
    """Of the endpoints that the token's user operates, the latest first."""
    found = having(_operated(request), username=username)
    return _filtered(found, state, export, since, until)


@router.get("/operate/downloads/{pk}", response=AnyDownloadOut, summary="Anybody's download")
def any_download(request: HttpRequest, pk: UUID) -> Download:
    """With what the doctor found where it failed."""
    return get_object_or_404(_operated(request), pk=pk)


def _mine(request: HttpRequest) -> QuerySet[Download]:
    abandoned.interrupt()
    return user_of(request).downloads.filter(counted__isnull=True)


def _operated(request: HttpRequest) -> QuerySet[Download]:
    user = staff(request, "streams.view_download")
    abandoned.interrupt()
    return Download.objects.operable_by(user)


def _filtered(
    rows: QuerySet[Download],
    state: State | None,
    export: str | None,
    since: datetime | None,
    until: datetime | None,
) -> QuerySet[Download]:
    return between(having(rows, state=state, slug=export), "started_at", since, until)
