"""Rotations: their story, and an operator's word on them, which workers carry out."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema, Status
from ninja.pagination import paginate
from pydantic import ConfigDict

from streams.api.asking import IdempotencyKey, Text, having, staff
from streams.api.paging import Pages
from streams.api.repeating import once
from streams.models import Mode, Rotation, RotationState, Secret
from streams.rotation import starting
from streams.tasks import advance_rotation, ring

router = Router(tags=["rotations"])
_EXAMPLE: dict[str, Any] = {
    "id": 7,
    "secret": "orders",
    "mode": "overlap",
    "state": "running",
    "step": "preflight",
    "back": False,
    "problem": "",
    "waiting": "",
    "requested_by": "ann",
    "started_at": "2026-11-26T15:00:00Z",
    "finished_at": None,
}


class What(StrEnum):
    """An emergency waits for nothing; a repair puts the current value back where it is not."""

    ROTATION = "rotation"
    EMERGENCY = "emergency"
    REPAIR = "repair"


class RotationIn(Schema):
    """What to do with a secret.

    `accept_gap`: though requests are refused for a moment. `despite_downloads`: though downloads
    are under way with it.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"secret": "orders", "what": "rotation"}]},
    )

    secret: Text
    what: What = What.ROTATION
    accept_gap: bool = False
    despite_downloads: Annotated[bool, Field(description="Of no meaning in an emergency.")] = False


class RotationOut(Schema):
    """Where it stands. `back`: what it has done is being taken back."""

    model_config = {"json_schema_extra": {"examples": [_EXAMPLE]}}

    id: int
    secret: str
    mode: Mode
    state: RotationState
    step: str
    back: bool
    problem: str
    waiting: str
    requested_by: str
    started_at: datetime
    finished_at: datetime | None

    @staticmethod
    def resolve_secret(rotation: Rotation) -> str:
        return rotation.secret.name


class EventOut(Schema):
    at: datetime
    step: str
    text: str


class StoryOut(RotationOut):
    """With all that was said of it, the first thing first."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                _EXAMPLE
                | {"events": [{"at": "2026-11-26T15:00:02Z", "step": "preflight", "text": "Done."}]}
            ]
        }
    }

    events: list[EventOut]

    @staticmethod
    def resolve_events(rotation: Rotation) -> list[Any]:
        return list(rotation.events.order_by("pk"))


@router.get("/rotations", response=list[RotationOut], summary="Rotations")
@paginate(Pages, by=("-started_at", "-id"))
def rotations(
    request: HttpRequest, secret: Text | None = None, state: RotationState | None = None
) -> QuerySet[Rotation]:
    """The latest first."""
    return having(_operated(request, "streams.view_rotation"), secret__name=secret, state=state)


@router.get("/rotations/{pk}", response=StoryOut, summary="A rotation")
def rotation(request: HttpRequest, pk: int) -> Rotation:
    """With its events."""
    return get_object_or_404(_operated(request, "streams.view_rotation"), pk=pk)


@router.post("/rotations", response={201: RotationOut}, summary="Start a rotation")
def start(request: HttpRequest, wanted: RotationIn, idempotency_key: IdempotencyKey = None) -> Any:
    """409 where it cannot be as things stand, with the reason."""
    return once(request, idempotency_key, lambda: _started(request, wanted))


@router.post("/rotations/{pk}/resume", response={202: RotationOut}, summary="Resume a rotation")
def resume(request: HttpRequest, pk: int) -> Any:
    """Has it tried again now, whatever it waits for. 409 where it has ended."""
    found = _open(request, pk)
    starting.resume(found, by=request.user.get_username())
    return _rung(found)


@router.post(
    "/rotations/{pk}/roll-back", response={202: RotationOut}, summary="Roll a rotation back"
)
def roll_back(request: HttpRequest, pk: int) -> Any:
    """Has it undone. From the step `retire` on it goes on instead. 409 where it has ended."""
    found = _open(request, pk)
    starting.roll_back(found, by=request.user.get_username())
    return _rung(found)


@router.post("/rotations/{pk}/give-up", response={202: RotationOut}, summary="Give a rotation up")
def give_up(request: HttpRequest, pk: int) -> Any:
    """Has it ended where it stands, as `failed`.

    Only where nobody can finish it or take it back: AWS says that its function does not exist any
    more, or its values can no longer be decrypted. Otherwise it goes on, and its events say why.
    409 where it has ended.
    """
    found = _open(request, pk)
    starting.give_up(found, by=request.user.get_username())
    return _rung(found)


def _operated(request: HttpRequest, permission: str) -> QuerySet[Rotation]:
    mine = Secret.objects.operable_by(staff(request, permission))
    return Rotation.objects.filter(secret__in=mine).select_related("secret")


def _open(request: HttpRequest, pk: int) -> Rotation:
    found = get_object_or_404(_operated(request, "streams.rotate_secret"), pk=pk)
    if found.finished_at:
        raise starting.NotNowError("This rotation has ended.")
    return found


def _rung(rotation: Rotation) -> Status[Rotation]:
    transaction.on_commit(lambda: ring(advance_rotation, rotation.pk), robust=True)
    rotation.refresh_from_db()
    return Status(202, rotation)


def _started(request: HttpRequest, wanted: RotationIn) -> RotationOut:
    user = staff(request, "streams.rotate_secret")
    secret = get_object_or_404(Secret.objects.operable_by(user), name=wanted.secret)
    made = _made(secret, wanted, user.get_username())
    transaction.on_commit(lambda: ring(advance_rotation, made.pk), robust=True)
    made.refresh_from_db()
    return RotationOut.from_orm(made)


def _made(secret: Secret, wanted: RotationIn, by: str) -> Rotation:
    if wanted.what == What.REPAIR:
        return starting.repair(secret, by=by)
    emergency = wanted.what == What.EMERGENCY
    live = 0 if emergency or wanted.despite_downloads else starting.live(secret)
    if live:
        raise starting.NotNowError(
            f"Downloads under way with this secret: {live}. Say despite_downloads to rotate it now."
        )
    return starting.start(secret, by=by, emergency=emergency, accept_gap=wanted.accept_gap)
