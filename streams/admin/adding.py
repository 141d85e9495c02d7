"""*Add an endpoint*, step by step, each of which is a plain form.

All that was entered travels along in it, so that nothing is kept meanwhile, nothing gets lost, and
two windows do not meddle. Nothing is stored before the last step, but for a secret that is made.
"""

import json
from typing import Any

from django.contrib import messages
from django.core import signing
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from streams.access.adding import may_provision, may_send_secrets
from streams.adding import needs, places, reading, secrets
from streams.admin.addforms import AddForm, ProvisionForm
from streams.admin.addsteps import CARRIED, NEW, PROVISION, TITLES, Step, fields_of, steps_of
from streams.admin.base import RecordingAdmin, staff
from streams.admin.checking import SECONDS
from streams.aws.failures import ControlError
from streams.doctor import comparing, run
from streams.models import Auth, Endpoint, Grant, Secret, SecretFunction
from streams.provisioning import setup
from streams.provisioning.problems import ProvisioningError
from streams.provisioning.request import Request
from streams.rotation.engine import account
from streams.rotation.problems import RotationError
from streams.tasks import provision, ring

# Seconds for which a plan that was shown may be carried out.
FRESH = 3600
_SALT = "streams.admin.adding"


@sensitive_post_parameters("new_value")
def add(request: HttpRequest, admin: RecordingAdmin) -> HttpResponse:
    """The page. A GET shows the first step, a POST goes on from the one that it names."""
    if not admin.has_add_permission(request):
        raise PermissionDenied
    wizard = _Wizard(request, admin)
    return wizard.answer() if request.method == "POST" else wizard.show(Step.KIND)


class _Wizard:
    """One request."""

    def __init__(self, request: HttpRequest, admin: RecordingAdmin) -> None:
        self.request, self.admin, self.user = request, admin, staff(request)
        self.data: QueryDict = request.POST.copy()
        self.extra: dict[str, Any] = {}

    def answer(self) -> HttpResponse:
        steps = steps_of(self.data)
        step = next((one for one in steps if one == self.data.get("step")), Step.KIND)
        go = self.data.get("go")
        if go == "back":
            return self.show(steps[max(0, steps.index(step) - 1)])
        if go == PROVISION and may_provision(self.user):
            self.data["function"], self.data["alias"] = self._function()
            self.data["kind"] = PROVISION
            return self.show(Step.PLACE)
        return self._on(step, go or "")

    def _on(self, step: Step, go: str) -> HttpResponse:
        form = self._form()
        # Read is by the address alone.
        if wrong := self._first_wrong(form, upto=Step.ADDRESS if go == "read" else step):
            return self.show(wrong, form)
        if step == Step.CHECK and go == "save" and isinstance(form, AddForm):
            return self._save(form)
        if step == Step.CHECK and go == "start" and isinstance(form, ProvisionForm):
            return self._start(form)
        if step == Step.SECRET and isinstance(form, AddForm) and (problem := self._make(form)):
            form.add_error("new_source", problem)
            return self.show(step, form)
        if step == Step.ADDRESS or go == "read":
            self._read()
        steps = steps_of(self.data)
        after = steps[min(steps.index(step) + 1, len(steps) - 1)] if step in steps else Step.ABOUT
        if go == "read":
            after = Step.PLACE
        if after == Step.CHECK:
            self._look()
        return self.show(after)

    # What is shown

    def show(self, step: Step, form: AddForm | ProvisionForm | None = None) -> HttpResponse:
        """A step; with `form`, what is wrong in it."""
        steps, kind = steps_of(self.data), self.data.get("kind", "")
        visible = fields_of(step, kind)
        self._suggest(step)
        shown = form or self._form(blank=True)
        context = {
            **self.admin.admin_site.each_context(self.request),
            "title": _("Add an endpoint"),
            "opts": self.admin.opts,
            "step": step,
            "step_title": TITLES[step],
            "number": steps.index(step) + 1,
            "count": len(steps),
            "steps": [(one, TITLES[one]) for one in steps],
            "fields": [shown[name] for name in visible],
            "carried": [
                (name, value)
                for name in sorted(CARRIED - set(visible))
                for value in self.data.getlist(name)
            ],
            "errors": self._errors(form, step) if form else [],
            "is_provision": kind == PROVISION,
            "may_provision": may_provision(self.user),
            "may_send": may_send_secrets(self.user),
            **self.extra,
        }
        return render(self.request, "admin/streams/endpoint/add.html", context)

    def _form(self, *, blank: bool = False) -> AddForm | ProvisionForm:
        made = ProvisionForm if self.data.get("kind") == PROVISION else AddForm
        if not blank:
            return made(self.user, self.data)
        initial: dict[str, Any] = {
            name: self.data.getlist(name) if name == "groups" else self.data[name]
            for name in CARRIED
            if name in self.data
        }
        return made(self.user, initial=initial)

    def _first_wrong(self, form: AddForm | ProvisionForm, *, upto: Step) -> Step | None:
        steps, kind = steps_of(self.data), self.data.get("kind", "")
        for step in steps[: steps.index(upto) + 1]:
            if any(name in form.errors for name in fields_of(step, kind)):
                return step
        # What is wrong with the whole, or with what no step asks.
        rest = form.errors and steps.index(upto) >= steps.index(Step.ABOUT)
        return Step.ABOUT if rest else None

    def _errors(self, form: AddForm | ProvisionForm, step: Step) -> list[tuple[str, str, str]]:
        """Where to go, what it is called, and what is wrong with it."""
        visible = fields_of(step, self.data.get("kind", ""))
        found = [
            (f"#{form[name].id_for_label or f'id_{name}_0'}", str(form[name].label), str(error))
            for name in visible
            for error in form.errors.get(name, [])
        ]
        # Of the others, those of later steps are not told yet.
        others = set(form.errors) - set(visible) if step == Step.ABOUT else set()
        return found + [("", "", str(error)) for name in others for error in form.errors[name]]

    def _suggest(self, step: Step) -> None:
        """What may well be meant, where nothing was entered."""
        name = self.data.get("function") or self.data.get("key") or self.data.get("path") or ""
        last = name.rpartition("/")[2].rpartition(":function:")[2].partition(":")[0]
        slug = slugify(last.partition(".")[0])[:100]
        if step == Step.ABOUT and slug and not self.data.get("slug"):
            self.data["slug"] = slug
        if step == Step.SECRET and slug and not self.data.get("new_name"):
            self.data["new_name"] = slug

    # What AWS says

    def _read(self) -> None:
        """Fills in what was not entered; anew, where the address is another one."""
        address, kind = self.data.get("address", ""), self.data.get("kind", "")
        place = places.parse(address, "function-url" if kind == PROVISION else kind)
        if kind != PROVISION and place.kind != kind:
            self.data["kind"] = place.kind
            messages.info(self.request, _("Its kind is told by the address: %s.") % self._kind())
        found = reading.look(place, account(), role_arn=self.data.get("role_arn", ""))
        self.extra |= {"found": found, "policy": _told(found.policy, "spillway-read")}
        place, anew = found.place, self.data.get("read") != address
        function = place.function
        if place.alias and kind != PROVISION and not function.endswith(f":{place.alias}"):
            function = f"{function}:{place.alias}"
        values = {"url": place.url, "function": function, "alias": place.alias}
        values |= {"bucket": place.bucket, "key": place.key, "region": place.region}
        for name, value in values.items():
            if value and (anew or not self.data.get(name)):
                self.data[name] = value
        if not self.data.get("proof") and (proof := self._proof(found)):
            self.data["proof"] = proof
        self.data["read"] = address

    def _function(self) -> tuple[str, str]:
        """Its name or ARN, and its alias; as they were entered, where they make no sense."""
        entered = self.data.get("function", "").strip()
        try:
            place = places.parse(entered, "function-url")
        except places.UnknownPlaceError:
            return entered, ""
        return place.function, place.alias

    def _kind(self) -> str:
        form = self._form(blank=True)
        choices: Any = form.fields["kind"]
        return str(dict(choices.choices).get(self.data["kind"], ""))

    def _proof(self, found: reading.Read) -> str:
        """How the place wants to be asked, with the secret that its function checks."""
        if found.auth != Auth.SECRET_HEADER or not may_send_secrets(self.user):
            return Auth.SIGV4 if found.auth == Auth.SIGV4 else ""
        name = found.place.function.rpartition(":")[2]
        row = SecretFunction.objects.filter(Q(name=name) | Q(name__endswith=f":function:{name}"))
        mine = Secret.objects.operable_by(self.user).filter(function__in=row).first()
        if mine is None or not name:
            return NEW
        self.data["secret"] = str(mine.pk)
        return "secret"

    def _look(self) -> None:
        """What the checks find, or what a provisioning would do, as things are now."""
        form = self._form()
        if form.errors:
            return
        if isinstance(form, ProvisionForm):
            self.extra |= self._plan(form.request())
            return
        report = run.examine_endpoint(form.instance, account(), seconds=SECONDS)
        policy = needs.calling(form.instance, function=self._function()[0])
        self.extra["report"] = comparing.compared(report, None, timezone.now())
        self.extra["policy"] = _told(policy, "spillway-call")

    def _plan(self, request: Request) -> dict[str, Any]:
        wanted = request.gateway
        kind = "restapis" if wanted and wanted.type == "rest" else "apis"
        api = f"/{kind}/{wanted.api_id}" if wanted else ""
        policy = needs.provisioning(request.function, request.region, api)
        told = {"policy": _told(policy, "spillway-provision")}
        try:
            plan = setup.plan(request)
        except (ProvisioningError, RotationError, ControlError) as exc:
            return told | {"refusal": str(exc)}
        shown = signing.dumps([repr(request), plan.lines], salt=_SALT, compress=True)
        return told | {"plan": plan, "shown": shown}

    # What is done

    @sensitive_variables()
    def _make(self, form: AddForm) -> str:
        """Makes the secret, and has it chosen: a sentence on why it could not be."""
        said, data = form.cleaned_data, self.data
        function, alias = self._function()
        wanted = Request(
            function=function if data.get("kind") == "function-url" else "",
            alias=alias,
            region=data.get("region", ""),
            role_arn=data.get("role_arn", ""),
            slug="",
            title="",
            secret=said["new_name"],
            header=said["new_header"],
        )
        typed = said["new_source"] == "typed"
        try:
            value = said["new_value"] if typed else self._held(wanted)
            secret = secrets.make(wanted, value, by=self.user)
        except ControlError as exc:
            return _("%s Enter the value yourself, or go back.") % exc
        except (ProvisioningError, RotationError) as exc:
            return str(exc)
        except ValidationError as exc:
            return exc.messages[0]
        except IntegrityError:
            return _("There is a secret of this name already. Choose that one.")
        data["proof"], data["secret"] = "secret", str(secret.pk)
        told = _("The secret %s is made. Its value can be revealed on its page.")
        messages.success(self.request, told % secret)
        return ""

    def _held(self, wanted: Request) -> str:
        return secrets.held(wanted, account()) if wanted.function else ""

    def _save(self, form: AddForm) -> HttpResponse:
        try:
            with transaction.atomic():
                self._store(form)
        except IntegrityError:
            form.add_error("slug", _("There is an endpoint of this slug already."))
            return self.show(Step.ABOUT, form)
        messages.success(self.request, _("%s is added.") % form.instance)
        page = reverse("admin:streams_endpoint_status", args=[form.instance.pk])
        return HttpResponseRedirect(page)

    def _store(self, form: AddForm) -> None:
        endpoint: Endpoint = form.save(commit=False)
        self.admin.save_model(self.request, endpoint, form, False)  # Django's own
        for group in form.cleaned_data["groups"]:
            Grant.objects.create(endpoint=endpoint, group=group)
        self.admin.log_addition(self.request, endpoint, [{"added": {}}])

    def _start(self, form: ProvisionForm) -> HttpResponse:
        """Does what was shown, and nothing else that was entered since."""
        if not may_provision(self.user):
            raise PermissionDenied
        request = form.request()
        try:
            shown, lines = signing.loads(self.data.get("shown", ""), salt=_SALT, max_age=FRESH)
        except signing.BadSignature:
            shown, lines = "", []
        if shown != repr(request):
            messages.warning(self.request, _("This is not what was shown. Look once more."))
            self._look()
            return self.show(Step.CHECK)
        try:
            row = setup.start(request, lines, by=self.user)
        except ProvisioningError as exc:
            form.add_error("slug", str(exc))
            return self.show(Step.ABOUT, form)
        transaction.on_commit(lambda: ring(provision, row.pk))
        return HttpResponseRedirect(reverse("admin:streams_setup_change", args=[row.pk]))


def _told(policy: dict[str, Any] | None, name: str) -> dict[str, str] | None:
    """A policy in words that can be copied."""
    if policy is None:
        return None
    return {"json": json.dumps(policy, indent=2), "command": needs.command(policy, name)}
