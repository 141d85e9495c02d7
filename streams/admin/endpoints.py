"""Endpoints, and who may download from them."""

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.decorators import action

from streams.admin import checking, endpoint_list, status
from streams.admin.base import RecordingAdmin, may_see, staff
from streams.admin.doctor import HealthFilter, badge, page
from streams.admin.exporting import Export, ExportingAdmin
from streams.models import Checkup, Download, Endpoint, Grant, Secret, User, Why
from streams.models.health import rank_by
from streams.registry import check
from streams.tasks import ring_checkups
from streams.templatetags.times import ago

# What decides where a secret is sent. A function is one of its region, and of its role's account.
_SENT = {"kind", "url", "function", "region", "role_arn", "auth", "secret"}

COLUMNS = (
    "slug", "title", "kind", "url", "function", "bucket", "key", "region", "auth", "secret",
    "operators", "everyone", "enabled", "health", "health_reason", "examined_at",
)  # fmt: skip


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    """Accepts what a registry file might say, and nothing else."""

    class Meta:
        model = Endpoint
        fields = (
            "title", "slug", "description", "filename", "enabled",
            "everyone", "shareable", "operators",
            "kind", "url", "function", "bucket", "key", "region", "role_arn",
            "auth", "secret", "delivery", "keep_gzip", "segments", "pages", "params", "follows",
            "limits",
        )  # fmt: skip

    # Whose form it is, and whether it is to be checked and not to be saved.
    user: User
    is_draft: bool

    def is_valid(self) -> bool:
        # What is not valid is shown again, with all that was entered.
        return super().is_valid() and not self.is_draft

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        sent_elsewhere = self.cleaned_data.get("secret") and _SENT.intersection(self.changed_data)
        # Whoever chooses where a secret is sent can read it there.
        if sent_elsewhere and not self.user.has_perm("streams.reveal_secret"):
            raise ValidationError(_("Where a secret is sent is for an administrator to say."))
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django's own hook, which its types leave out
        if not self.errors:
            for field, sentence in check.problems(self.instance):
                self.add_error(field if field in self.fields else None, sentence)


class GrantInline(TabularInline):  # type: ignore[misc]
    model = Grant
    fields = ("group", "expires_at")
    extra = 0
    autocomplete_fields = ("group",)


@admin.register(Endpoint)
class EndpointAdmin(ExportingAdmin, RecordingAdmin):
    form = EndpointForm
    list_display = (
        "name", "how_it_is", "checks", "last_check", "kind", "next_rotation", "sent", "cut",
    )  # fmt: skip
    list_filter = (HealthFilter, "kind", "auth", "enabled", "everyone")
    search_fields = ("title", "slug", "url", "bucket", "function")
    inlines = (GrantInline,)
    list_select_related = ("secret", "operators")
    actions_detail = ("doctor",)
    change_form_before_template = "admin/streams/endpoint/above.html"
    list_before_template = "admin/streams/endpoint/chips.html"
    export = Export("endpoints", COLUMNS)
    empty_list_template = "admin/streams/endpoint/none.html"
    warn_unsaved_form = True
    fieldsets = (
        (None, {"fields": ("title", "slug", "description", "filename", "enabled")}),
        (_("Who may do what"), {"fields": ("everyone", "shareable", "operators")}),
        (
            _("Where the bytes come from"),
            {"fields": ("kind", "url", "function", "bucket", "key", "region", "role_arn")},
        ),
        (_("How the portal proves itself"), {"fields": ("auth", "secret")}),
        (
            _("How they are delivered"),
            {
                "fields": (
                    "delivery",
                    "keep_gzip",
                    "segments",
                    "pages",
                    "params",
                    "follows",
                    "limits",
                )
            },
        ),
    )

    def named(self, obj: Endpoint) -> str:
        return obj.slug

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        return endpoint_list.EndpointList

    def get_list_display(self, request: HttpRequest) -> Any:
        hidden = set() if may_see(request, Download) else {"sent", "cut"}
        hidden |= set() if may_see(request, Secret) else {"next_rotation"}
        return [one for one in self.list_display if one not in hidden]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        chips = {"chips": endpoint_list.chips(request)}
        return super().changelist_view(request, (extra_context or {}) | chips)

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        # Where Django itself would lead to the form.
        own = path("<int:pk>/", wrap(self.status), name="streams_endpoint_status")
        add = path("add/", wrap(self.add_by_steps), name="streams_endpoint_add")
        whole = path("add/all/", wrap(self.add_view), name="streams_endpoint_add_all")
        return [own, add, whole, *super().get_urls()]

    def add_by_steps(self, request: HttpRequest) -> HttpResponse:
        """In place of Django's own form, which has all fields at once."""
        # Late: it builds on the form above.
        from streams.admin.adding import add

        return add(request, self)

    def status(self, request: HttpRequest, pk: int) -> HttpResponse:
        """How it is; a POST has its origin tried."""
        endpoint = self.get_object(request, str(pk))
        if endpoint is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(pk))  # type: ignore[no-any-return]
        if not self.has_view_permission(request, endpoint):
            raise PermissionDenied
        may_try = self.has_change_permission(request, endpoint)
        if request.method != "POST":
            context = self.admin_site.each_context(request) | {"may_try": may_try}
            return status.page(request, endpoint, context)
        if not may_try:
            raise PermissionDenied
        self.record(request, "tried", self.named(endpoint))
        return status.tried(request, endpoint)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).operable_by(staff(request)).with_health()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Staff of one group neither shut the others out nor let them in.
        every = staff(request).has_perm("streams.operate_every_endpoint")
        return () if every else ("operators",)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(request, *args, **kwargs)
        form.user = staff(request)
        form.is_draft = checking.is_asked(request)
        return form

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return checking.offer(request, super().changeform_view(request, *args, **kwargs))

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "secret":
            kwargs["queryset"] = Secret.objects.operable_by(staff(request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description=_("name and host"), ordering="title")
    def name(self, endpoint: Endpoint) -> SafeString:
        host = urlsplit(endpoint.url).netloc or endpoint.function or endpoint.bucket
        told = endpoint.title if endpoint.enabled else f"{endpoint.title} ({_('disabled')})"
        return format_html('{} <span class="host">{}</span>', told, host)

    @admin.display(description=_("recent checks"))
    def checks(self, endpoint: Any) -> SafeString:
        return endpoint_list.strip(endpoint)

    @admin.display(description=_("next rotation"))
    def next_rotation(self, endpoint: Any) -> SafeString | str:
        return endpoint_list.next_rotation(endpoint)

    @admin.display(description=_("sent in 24 h"))
    def sent(self, endpoint: Any) -> SafeString | str:
        return endpoint_list.sent(endpoint)

    @admin.display(description=_("cut in 24 h"))
    def cut(self, endpoint: Any) -> SafeString | str:
        return endpoint_list.cut(endpoint)

    @admin.display(description=_("health"), ordering="health_rank")
    def how_it_is(self, endpoint: Any) -> SafeString:
        page = reverse("admin:streams_endpoint_doctor", args=[endpoint.pk])
        return format_html('<a href="{}">{}</a>', page, badge(endpoint.health))

    @admin.display(description=_("last check"), ordering="examined_at")
    def last_check(self, endpoint: Any) -> str:
        return ago(endpoint.examined_at)

    @action(description=_("Doctor"), url_path="doctor", permissions=["view"])  # type: ignore[untyped-decorator]
    def doctor(self, request: HttpRequest, object_id: str) -> HttpResponse:
        endpoint = self.get_object(request, object_id)
        if endpoint is None:
            raise Http404
        if not self.has_view_permission(request, endpoint):
            raise PermissionDenied
        may_run = self.has_change_permission(request, endpoint)
        return page(request, endpoint, self.admin_site.each_context(request), may_run=may_run)

    def get_ordering(self, request: HttpRequest) -> Any:
        # What fails comes first. An expression: fields that choose an endpoint order by it too.
        return (rank_by("checkup__"), "title")

    def save_model(
        self, request: HttpRequest, obj: Endpoint, form: EndpointForm, change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        Checkup.objects.filter(endpoint=obj).ask(Why.CHANGE)
        transaction.on_commit(ring_checkups, robust=True)
