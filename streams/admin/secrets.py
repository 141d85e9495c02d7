"""Secrets: their header, their function, their gateways. Never their value."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import StackedInline, TabularInline
from unfold.decorators import action
from unfold.widgets import UnfoldAdminPasswordWidget

from streams.admin.base import RecordingAdmin, staff
from streams.admin.revealing import reveal
from streams.admin.rotations import rotate
from streams.models import Checkup, Gateway, Secret, SecretFunction, SecretVersion, Why
from streams.models.secrets import validate_value
from streams.rotation import calendar
from streams.tasks import ring_checkups


class SecretForm(forms.ModelForm):  # type: ignore[type-arg]
    """A value can be set here, and is never shown."""

    new_value = forms.CharField(
        label=_("New value"),
        required=False,
        strip=False,
        validators=[validate_value],
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text=_("Empty: the value stays as it is. What you enter cannot be read again."),
    )

    class Meta:
        model = Secret
        fields = (
            "name", "header", "rotate_every", "window", "jitter", "rotation_paused", "store",
        )  # fmt: skip

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.instance.pk is None and not self.cleaned_data.get("new_value"):
            raise ValidationError({"new_value": _("A new secret needs a value.")})
        return cleaned


class FunctionInline(StackedInline):  # type: ignore[misc]
    model = SecretFunction
    extra = 0


class GatewayInline(StackedInline):  # type: ignore[misc]
    model = Gateway
    extra = 0


class VersionInline(TabularInline):  # type: ignore[misc]
    model = SecretVersion
    fields = readonly_fields = ("number", "fingerprint", "state", "created_at")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> Any:
        # Not even decrypted for this page.
        return super().get_queryset(request).defer("value")


@admin.register(Secret)
class SecretAdmin(RecordingAdmin):
    form = SecretForm
    list_display = ("name", "header", "current", "rotate_every", "next_rotation", "in_aws")
    search_fields = ("name", "header")
    inlines = (FunctionInline, GatewayInline, VersionInline)
    fields = (
        "name", "header", "new_value", "rotate_every", "window", "jitter", "rotation_paused",
        "store",
    )  # fmt: skip
    actions_detail = ("rotation", "revelation")

    @action(description=_("Rotate …"), url_path="rotate", permissions=["rotate"])  # type: ignore[untyped-decorator]
    def rotation(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return rotate(request, object_id, self.admin_site.each_context(request))

    @action(description=_("Reveal …"), url_path="reveal", permissions=["reveal"])  # type: ignore[untyped-decorator]
    def revelation(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return reveal(request, object_id, self.admin_site.each_context(request))

    def has_rotate_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return staff(request).has_perm("streams.rotate_secret")

    def has_reveal_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return staff(request).has_perm("streams.reveal_secret")

    def get_queryset(self, request: HttpRequest) -> Any:
        versions = SecretVersion.objects.filter(state="current").defer("value")
        mine = super().get_queryset(request).operable_by(staff(request))
        found = calendar.with_past(mine).select_related("drift")
        return found.prefetch_related(Prefetch("versions", versions, to_attr="current_versions"))

    @admin.display(description=_("current value"))
    def current(self, secret: Any) -> str:
        return ", ".join(f"v{v.number} {v.fingerprint}" for v in secret.current_versions)

    @admin.display(description=_("next rotation"))
    def next_rotation(self, secret: Secret) -> str:
        due = calendar.next_due(secret)
        if due is None:
            return gettext("paused") if secret.rotation_paused else ""
        told = date_format(due, "DATETIME_FORMAT")
        if calendar.is_overdue(secret, timezone.now()):
            return gettext("overdue since %s") % told
        return told

    @admin.display(description=_("in AWS"))
    def in_aws(self, secret: Secret) -> str:
        check = getattr(secret, "drift", None)
        if check is None or check.looked_at is None:
            return gettext("not looked at yet")
        return check.found or gettext("as it should be")

    def save_model(self, request: HttpRequest, obj: Secret, form: SecretForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if value := form.cleaned_data.get("new_value"):
            obj.set_value(value)

    def save_related(self, request: HttpRequest, form: SecretForm, *args: Any) -> None:
        super().save_related(request, form, *args)
        secret = Secret.objects.filter(pk=form.instance.pk)
        Checkup.objects.hanging_on(secret).ask(Why.CHANGE)
        transaction.on_commit(ring_checkups, robust=True)
