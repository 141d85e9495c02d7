"""What the doctor's last runs found, as `manage.py doctor --json` tells it; has runs made."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status
from ninja.pagination import paginate

from streams.api.asking import Text, staff, user_of
from streams.api.paging import Counted
from streams.doctor import engine
from streams.models import Checkup, Endpoint
from streams.tasks import examine, ring

router = Router(tags=["doctor"])
_FINDING: dict[str, Any] = {
    "id": "does-not-open",
    "severity": "error",
    "title": "The export does not open",
    "subject": "orders",
    "endpoint": "orders",
    "secret": None,
    "sentence": "The origin answers 404.",
    "evidence": ["GET https://example.com/orders: 404"],
    "consequence": "Downloads of it fail.",
    "fix": "Correct its address.",
    "cli": [],
    "terraform": "",
    "repair": None,
}


class RepairOut(Schema):
    sentence: str


class FindingOut(Schema):
    """`seen_at` is set where the last run could not look at it again."""

    id: str
    severity: str
    title: str
    subject: str
    endpoint: str | None
    secret: str | None
    sentence: str
    evidence: list[str]
    consequence: str
    fix: str
    cli: list[str]
    terraform: str
    repair: RepairOut | None
    seen_at: datetime | None = None


class SkippedOut(Schema):
    id: str
    subject: str
    endpoint: str | None
    secret: str | None
    reason: str


class ReportOut(Schema):
    """One run. `passed` is how many checks found nothing; `new` and `gone` are since `since`."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"ok": False, "health": "failing", "why": "schedule", "by": "",
                 "ended_at": "2026-11-26T15:00:00Z", "passed": 21, "findings": [_FINDING],
                 "skipped": [], "since": "2026-11-26T14:00:00Z", "new": [_FINDING], "gone": []}
            ]
        }
    }  # fmt: skip

    ok: bool
    health: str
    why: str
    by: str
    ended_at: datetime
    passed: int
    findings: list[FindingOut]
    skipped: list[SkippedOut]
    since: datetime | None
    new: list[FindingOut]
    gone: list[FindingOut]


class HealthOut(Schema):
    """How an endpoint is; `examined_at` is null where no run has ended yet."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"slug": "orders", "title": "Orders", "health": "healthy", "health_reason": "",
                 "examined_at": "2026-11-26T15:00:00Z"}
            ]
        }
    }  # fmt: skip

    slug: str
    title: str
    health: str
    health_reason: str | None
    examined_at: datetime | None


class AskedOut(Schema):
    """A run that a worker makes as soon as one is free."""

    model_config = {"json_schema_extra": {"examples": [{"asked_at": "2026-11-26T15:00:00Z"}]}}

    asked_at: datetime


@router.get("/doctor", response=ReportOut, summary="The portal's last run")
def portal(request: HttpRequest) -> dict[str, Any]:
    """Of the portal itself, and of what no endpoint hangs on. 404 before the first has ended."""
    staff(request, "streams.view_checkup")
    return _last(None)


@router.post("/doctor", response={202: AskedOut}, summary="Have the portal examined")
def examine_portal(request: HttpRequest) -> Status[Checkup]:
    """Asked twice before it begins, it is made once."""
    staff(request, "streams.change_checkup")
    return Status(202, _asked(request, None))


@router.get("/doctor/endpoints", response=list[HealthOut], summary="The health of endpoints")
@paginate(Counted)
def endpoints(request: HttpRequest) -> QuerySet[Endpoint]:
    """Those that the token's user operates, the worst first."""
    staff(request, "streams.view_checkup")
    return Endpoint.objects.operable_by(user_of(request)).with_health().worst_first()


@router.get("/endpoints/{slug}/doctor", response=ReportOut, summary="An endpoint's last run")
def endpoint(request: HttpRequest, slug: Text) -> dict[str, Any]:
    """404 before the first run has ended, too."""
    staff(request, "streams.view_checkup")
    return _last(_endpoint(request, slug))


@router.post(
    "/endpoints/{slug}/doctor", response={202: AskedOut}, summary="Have an endpoint examined"
)
def examine_endpoint(request: HttpRequest, slug: Text) -> Status[Checkup]:
    """Asked twice before it begins, it is made once."""
    staff(request, "streams.change_checkup")
    return Status(202, _asked(request, _endpoint(request, slug)))


def _endpoint(request: HttpRequest, slug: Text) -> Endpoint:
    return get_object_or_404(Endpoint.objects.operable_by(user_of(request)), slug=slug)


def _last(endpoint: Endpoint | None) -> dict[str, Any]:
    row: Any = Checkup.objects.with_health().filter(endpoint=endpoint).first()
    run = row.runs.first() if row else None
    if row is None or run is None:
        raise Http404
    report: dict[str, Any] = run.report
    return report | {
        "ok": run.errors == 0,
        "health": row.health_now,
        "why": run.why,
        "by": run.by,
        "ended_at": run.ended_at,
        "passed": run.passed,
    }


def _asked(request: HttpRequest, endpoint: Endpoint | None) -> Checkup:
    row = engine.ask(endpoint, by=user_of(request).get_username())
    transaction.on_commit(lambda: ring(examine, row.pk), robust=True)
    row.refresh_from_db()
    return row
