"""What needs an operator's attention, the worst first, each with the page that mends it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Min, OuterRef, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from streams.admin.base import listed, staff
from streams.admin.doctor import badge
from streams.doctor.installation import silent_since
from streams.models import (
    Checkup,
    DriftCheck,
    Endpoint,
    Health,
    Notice,
    NoticeState,
    Rotation,
    RotationState,
    Secret,
)
from streams.rotation import calendar, timeline

# Of each kind; their lists have all of them.
SHOWN = 10
_UNWELL = (Health.FAILING, Health.DEGRADED)


@dataclass(frozen=True)
class Problem:
    """`since` is None where nobody knows. `fix` is where to mend it, and `mend` what is there.

    `count`: it stands for so many, of which each counts.
    """

    badge: SafeString
    what: str
    sentence: str
    since: datetime | None
    fix: str
    mend: Any
    fails: bool = True
    count: int = 1


def problems(request: HttpRequest, secrets: list[Any]) -> list[Problem]:
    """`secrets` are those that this user sees, with what `calendar` asks of them."""
    found = [
        *_portal(request),
        *_endpoints(request),
        *_rotations(request),
        *_overdue(request, secrets),
        *_drift(request, secrets),
        *_notices(request),
    ]
    return sorted(found, key=lambda one: not one.fails)


def _portal(request: HttpRequest) -> Iterator[Problem]:
    if not request.user.has_perm("streams.view_checkup"):
        return
    doctor, mend = reverse("admin:doctor"), _("Doctor")
    portal = str(_("The portal"))
    if since := silent_since():
        sentence = gettext(
            "No worker hears the scheduler, so nothing that is due is done. Start manage.py "
            "worker, one of them with --with-scheduler."
        )
        mark = badge(Health.FAILING, _("no worker"))
        yield Problem(mark, portal, sentence, since, doctor, mend)
    row: Any = Checkup.objects.with_health().filter(endpoint=None).first()
    if row and row.health_now in _UNWELL:
        fails = row.health_now == Health.FAILING
        mark = badge(row.health_now)
        yield Problem(mark, portal, row.reason, row.failing_since, doctor, mend, fails)


def _endpoints(request: HttpRequest) -> Iterator[Problem]:
    enabled = listed(request, Endpoint).filter(enabled=True)
    counts = dict(enabled.filter(health__in=_UNWELL).values_list("health").annotate(n=Count("pk")))
    for health in _UNWELL:
        if health not in counts:
            continue
        unwell = enabled.filter(health=health).select_related(None).order_by("title")
        for one in unwell.annotate(since=Min("checkup__failing_since"))[:SHOWN]:
            page = reverse("admin:streams_endpoint_doctor", args=[one.pk])
            yield Problem(
                badge(health), one.title, one.health_reason, one.since, page, _("Doctor"),
                fails=health == Health.FAILING,
            )  # fmt: skip
        if (more := counts[health] - SHOWN) > 0:
            page = reverse("admin:streams_endpoint_changelist")
            told = ngettext("%d more endpoint", "%d more endpoints", more) % more
            yield Problem(
                badge(health), told, "", None, f"{page}?health={health}&enabled__exact=1",
                _("All of them"), fails=health == Health.FAILING, count=more,
            )  # fmt: skip


def _rotations(request: HttpRequest) -> Iterator[Problem]:
    """The last one of each secret, where it failed, needs help or does not come forward."""
    mine = listed(request, Rotation)
    of_same = Rotation.objects.filter(secret=OuterRef("secret")).order_by("-pk")
    # The last is asked for of few: those that went well are many.
    watched = [RotationState.RUNNING, RotationState.STUCK, RotationState.FAILED]
    last = mine.filter(state__in=watched, pk=Subquery(of_same.values("pk")[:1]))
    for rotation in last.select_related("secret").order_by("-pk")[:SHOWN]:
        page = reverse("admin:streams_rotation_change", args=[rotation.pk])
        told, name = rotation.problem or rotation.waiting, str(rotation.secret)
        if rotation.state == RotationState.STUCK:
            mark = badge(Health.FAILING, _("rotation needs help"))
            yield Problem(mark, name, told, rotation.stretch_at, page, _("Rotation"))
        elif rotation.state == RotationState.FAILED:
            mark = badge(Health.FAILING, _("rotation failed"))
            yield Problem(mark, name, told, rotation.finished_at, page, _("Rotation"))
        elif timeline.is_slow(rotation, timezone.now()):
            mark = badge(Health.DEGRADED, _("rotation is slow"))
            yield Problem(mark, name, told, rotation.step_at, page, _("Rotation"), fails=False)


def _overdue(request: HttpRequest, secrets: list[Any]) -> Iterator[Problem]:
    now = timezone.now()
    overdue = [one for one in secrets if calendar.is_overdue(one, now)]
    for secret in overdue[:SHOWN]:
        due = calendar.next_due(secret)
        sentence = (
            gettext("Its rotation is overdue.")
            if due
            else gettext("Its rotation is paused, and overdue.")
        )
        mark = badge(Health.DEGRADED, _("overdue"))
        yield Problem(
            mark, secret.name, sentence, due, *mended(request, secret), fails=False
        )  # fmt: skip


def _drift(request: HttpRequest, secrets: list[Any]) -> Iterator[Problem]:
    named = {secret.pk: secret for secret in secrets}
    # Which are theirs is known: a query that asks it again costs more than these few rows.
    found = DriftCheck.objects.exclude(found="").order_by("found_at")
    drifted = [check for check in found if check.secret_id in named]
    for check in drifted[:SHOWN]:
        secret = named[check.secret_id]
        mark = badge(Health.DEGRADED, _("changed in AWS"))
        sentence = " ".join(check.found.splitlines())
        yield Problem(
            mark, secret.name, sentence, check.found_at, *mended(request, secret), fails=False
        )  # fmt: skip


def _notices(request: HttpRequest) -> Iterator[Problem]:
    lost = listed(request, Notice).in_state(NoticeState.GIVEN_UP)
    told = lost.select_related(None).defer(None).aggregate(n=Count("pk"), at=Min("given_up_at"))
    if not told["n"]:
        return
    page = f"{reverse('admin:streams_notice_changelist')}?state={NoticeState.GIVEN_UP}"
    what = ngettext("%d notice", "%d notices", told["n"]) % told["n"]
    sentence = gettext("Every attempt to deliver it has failed.")
    mark = badge(Health.DEGRADED, _("not delivered"))
    yield Problem(mark, what, sentence, told["at"], page, _("Notices"), fails=False)


def mended(request: HttpRequest, secret: Secret) -> tuple[str, Any]:
    """Where this user can do something about a secret, or see it, and what that page is called."""
    if staff(request).has_perm("streams.rotate_secret"):
        return reverse("admin:streams_secret_rotation", args=[secret.pk]), _("Rotate")
    return reverse("admin:streams_secret_change", args=[secret.pk]), _("Secret")
