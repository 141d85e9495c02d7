"""The page on which the portal mends a finding: what it would do, and what came of it.

It is done in the request. Each wait of a repair is bounded, what it cannot end it takes back, and
of one whose process is killed the next run finds what is left: a row for a worker would keep no
more of it. What takes minutes is a rotation, which workers do as they do any other.
"""

from hashlib import sha256
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext_lazy as _

from streams.access.mending import may_mend
from streams.admin.base import staff
from streams.doctor import engine, repairs
from streams.doctor.checks import Finding
from streams.models import DoctorRun, Endpoint, User
from streams.tasks import advance_rotation, examine, ring, ring_notices


def repair_page(request: HttpRequest, run: int, number: int) -> HttpResponse:
    """What the repair would do, as things are now; a POST does it."""
    found = get_object_or_404(DoctorRun.objects.select_related("checkup__endpoint"), pk=run)
    endpoint, row = found.checkup.endpoint, _row(found, number)
    if not may_mend(staff(request), endpoint, row):
        raise PermissionDenied
    context = admin.site.each_context(request) | {
        "title": _("Fix: %s") % row["title"],
        "row": row,
        "endpoint": endpoint,
        "command": f"manage.py doctor {endpoint.slug if endpoint else ''}".strip() + " --fix",
    }
    if request.method == "POST":
        context |= _done(row, request.POST.get("shown", ""), by=staff(request))
        # Where a rotation does it, its end has the doctor look.
        if not context.get("rotation"):
            _look_again(endpoint, by=request.user.get_username())
        ring_notices()
    else:
        context |= _foretold(row)
    return render(request, "admin/streams/doctor/fix.html", context)


def _row(run: DoctorRun, number: int) -> dict[str, Any]:
    findings = run.report["findings"]
    if number >= len(findings) or not findings[number]["repair"]:
        raise Http404
    return findings[number]  # type: ignore[no-any-return]


def _foretold(row: dict[str, Any]) -> dict[str, Any]:
    try:
        now = _now(row)
        if not now:
            return {"is_gone": True}
        # Of several that the check finds there, the one that was asked about.
        finding = next((one for one in now if _sentence(one) == row["repair"]["sentence"]), now[0])
        lines = repairs.preview(finding)
    except repairs.NotNowError as exc:
        return {"refusal": str(exc)}
    return {
        "finding": finding.found,
        "lines": [line for line in lines if not _is_call(line)],
        "calls": [line for line in lines if _is_call(line)],
        "shown": _mark(finding),
    }


def _done(row: dict[str, Any], shown: str, *, by: User) -> dict[str, Any]:
    """Does the one that was shown, and no other that is needed by now."""
    try:
        now = _now(row)
        if not now:
            return {"is_gone": True}
        finding = next((one for one in now if _mark(one) == shown), None)
        if finding is None:
            return {"refusal": _("It is not as it was when this was shown. Look once more.")}
        outcome = repairs.do(finding, by=by, wait=False)
    except repairs.NotNowError as exc:
        return {"refusal": str(exc)}
    except repairs.FailedError as exc:
        return {"problem": str(exc), "undone": exc.undone, "left": exc.left}
    if outcome.rotation:
        ring(advance_rotation, outcome.rotation)
    return {
        "is_gone": outcome.state is repairs.State.ALREADY,
        "is_mended": outcome.state is repairs.State.MENDED,
        "done": outcome.done,
        "rotation": outcome.rotation,
    }


def _now(row: dict[str, Any]) -> list[Finding]:
    return repairs.current(
        row["id"], row["subject"], secret=row["secret"], endpoint=row["endpoint"]
    )


def _sentence(finding: Finding) -> str:
    return finding.found.repair.sentence if finding.found.repair else ""


def _mark(finding: Finding) -> str:
    """Tells one repair from another one. It has no value in it."""
    return sha256(repr(finding.found.repair).encode()).hexdigest()


def _is_call(line: str) -> bool:
    return line.startswith(("Call:", "Calls:"))


def _look_again(endpoint: Endpoint | None, *, by: str) -> None:
    asked = engine.ask(endpoint, by=by)
    transaction.on_commit(lambda: ring(examine, asked.pk))
