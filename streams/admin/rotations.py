"""Rotations: what happened to a secret, and the page from which an operator acts on one."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from streams.admin.base import ReadOnlyAdmin, staff
from streams.admin.exporting import Export, ExportingAdmin
from streams.models import (
    DriftCheck,
    Endpoint,
    Mode,
    Rotation,
    RotationState,
    Secret,
    SecretFunction,
)
from streams.rotation import starting, timeline
from streams.rotation.engine import waits
from streams.rotation.machine import UNTOUCHED
from streams.rotation.problems import RotationError
from streams.rotation.timeline import StepState, Told
from streams.tasks import advance_rotation, ring
from streams.templatetags.times import duration

COLUMNS = (
    "id", "secret", "mode", "state", "step", "problem", "waiting", "requested_by", "started_at",
    "finished_at",
)  # fmt: skip


@admin.register(Rotation)
class RotationAdmin(ExportingAdmin, ReadOnlyAdmin):
    list_display = ("started_at", "secret", "mode", "told_state", "step", "waiting", "finished_at")
    list_filter = ("state", "mode")
    search_fields = ("secret__name",)
    list_select_related = ("secret",)
    export = Export("rotations", COLUMNS)
    actions = None

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Its story: there is nothing about it to edit."""
        rotation = self.get_object(request, object_id)
        if rotation is None:
            # As all other pages do.
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        if not self.has_view_permission(request, rotation):
            raise PermissionDenied
        context = self.admin_site.each_context(request) | _story(request, rotation)
        return render(request, "admin/streams/rotation/page.html", context)

    @admin.display(description=_("state"), ordering="state")
    def told_state(self, rotation: Rotation) -> str:
        return rotation.told_state

    def get_queryset(self, request: HttpRequest) -> Any:
        mine = Secret.objects.operable_by(staff(request))
        return super().get_queryset(request).filter(secret__in=mine).with_versions()


_LOOKS = {
    RotationState.RUNNING: ("busy", "sync"),
    RotationState.STUCK: ("bad", "error"),
    RotationState.COMPLETED: ("good", "check_circle"),
    RotationState.ROLLED_BACK: ("calm", "undo"),
    RotationState.FAILED: ("bad", "error"),
}
_WORDS = {
    StepState.DONE: _("done"),
    StepState.NOW: _("now"),
    StepState.STOPPED: _("stopped here"),
    StepState.AHEAD: _("not begun"),
    StepState.UNDONE: _("taken back"),
}


def _story(request: HttpRequest, rotation: Rotation) -> dict[str, Any]:
    look, icon = _LOOKS[RotationState(rotation.state)]
    steps = timeline.timeline(rotation)
    return {
        "title": _("Rotation of %s") % rotation.secret,
        "rotation": rotation,
        "look": look,
        "icon": icon,
        "sentence": _sentence(rotation, steps),
        "slow": timeline.is_slow(rotation, timezone.now()),
        "steps": [
            {
                "name": step.name,
                "state": step.state,
                "word": _WORDS[step.state],
                "ended_at": step.ended_at,
                "events": step.events,
            }
            for step in steps
        ],
        # Before, it has changed nothing, and is rolled back.
        "may_give_up": rotation.step != UNTOUCHED or rotation.back,
        "may_act": request.user.has_perm("streams.rotate_secret"),
    }


def _sentence(rotation: Rotation, steps: list[Told]) -> str:
    """Where it stands, in one sentence."""
    if rotation.finished_at:
        took = (rotation.finished_at - rotation.started_at).total_seconds()
        return gettext("It took %s.") % duration(took)
    number = [step.name for step in steps].index(rotation.step) + 1
    told = (
        gettext("Going back, at %(step)s.")
        if rotation.back
        else gettext("At %(step)s, step %(number)d of %(count)d.")
    )
    return told % {"step": rotation.step, "number": number, "count": len(steps)}


# What becomes of requests meanwhile.
_GAPS = {
    Mode.OVERLAP: _("No request is refused: the function accepts both values until the end."),
    Mode.PAIR: _("No request is refused: each value has an alias that accepts it."),
    Mode.HOLD: _(
        "Downloads through this portal wait for some seconds at most, and none is refused. Whoever "
        "else sends the value is refused from the change on."
    ),
    Mode.GAP: _("Requests through the gateways are refused, usually for some seconds."),
}


def rotate(request: HttpRequest, secret_id: str, context: dict[str, Any]) -> HttpResponse:
    """Says what a rotation of this secret will do; a POST does what its button says."""
    secret = get_object_or_404(Secret.objects.operable_by(request.user), pk=secret_id)
    if not request.user.has_perm("streams.rotate_secret"):
        raise PermissionDenied
    if request.method == "POST":
        return _acted(request, secret)
    context |= {"secret": secret, "title": _("Rotate %s") % secret, **_outlook(secret)}
    return render(request, "admin/streams/secret/rotate.html", context)


def _outlook(secret: Secret) -> dict[str, Any]:
    rotation = Rotation.objects.filter(secret=secret).open().first()
    try:
        mode = starting.mode_of(secret, accept_gap=True)
    except RotationError as exc:
        return {"rotation": rotation, "refusal": str(exc)}
    return {
        "rotation": rotation,
        "mode": mode,
        "gap": starting.GAP if mode == Mode.GAP else "",
        "expected": _GAPS[mode],
        "waits": waits(mode),
        "function": SecretFunction.objects.filter(secret=secret).first(),
        "endpoints": Endpoint.objects.hanging_on(Secret.objects.filter(pk=secret.pk)),
        "stored": secret.stored_at(),
        "live": starting.live(secret),
        "gateways": secret.gateways.order_by("pk"),
        "drift": DriftCheck.objects.filter(secret=secret).exclude(found="").first(),
    }


def _acted(request: HttpRequest, secret: Secret) -> HttpResponse:
    try:
        rotation = _done(request, secret)
    except RotationError as exc:
        messages.error(request, str(exc))
        return HttpResponseRedirect(request.path)
    transaction.on_commit(lambda: ring(advance_rotation, rotation.pk))
    return HttpResponseRedirect(reverse("admin:streams_rotation_change", args=[rotation.pk]))


def _done(request: HttpRequest, secret: Secret) -> Rotation:
    what, by = request.POST.get("what"), request.user.get_username()
    words = {
        "resume": starting.resume,
        "rollback": starting.roll_back,
        "give-up": starting.give_up,
    }
    if what in words:
        rotation = starting.open_rotation(secret)
        words[what](rotation, by=by)
        return rotation
    if what == "repair":
        return starting.repair(secret, by=by)
    emergency = what == "emergency"
    if emergency and request.POST.get("name") != secret.name:
        raise starting.NotNowError("Type the secret's name to rotate it with no waits.")
    live = 0 if emergency else starting.live(secret)
    if live and request.POST.get("sure") != secret.name:
        told = ngettext(
            "%d download is under way with this secret. Type its name to rotate it now.",
            "%d downloads are under way with this secret. Type its name to rotate it now.",
            live,
        )
        raise starting.NotNowError(told % live)
    return starting.start(
        secret,
        by=by,
        emergency=emergency,
        accept_gap="accept_gap" in request.POST,
    )
