"""Endpoints, and who may download from them."""

from typing import Any, ClassVar
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from streams.admin.base import RecordingAdmin, staff
from streams.models import Endpoint, Grant, Secret, User
from streams.registry import check

# What decides where a secret is sent.
_SENT = {"kind", "url", "function", "auth", "secret"}


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    """Accepts what a registry file might say, and nothing else."""

    class Meta:
        model = Endpoint
        fields = (
            "title", "slug", "description", "filename", "enabled", "everyone", "operators",
            "kind", "url", "function", "bucket", "key", "region", "role_arn",
            "auth", "secret", "delivery", "keep_gzip", "segments", "pages", "params", "follows",
            "limits",
        )  # fmt: skip

    # Whose form it is.
    user: ClassVar[User]

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
    extra = 0
    autocomplete_fields = ("group",)


@admin.register(Endpoint)
class EndpointAdmin(RecordingAdmin):
    form = EndpointForm
    list_display = ("title", "slug", "kind", "host", "auth", "everyone", "enabled")
    list_filter = ("kind", "auth", "enabled", "everyone")
    search_fields = ("title", "slug", "url", "bucket", "function")
    inlines = (GrantInline,)
    list_select_related = ("secret",)
    warn_unsaved_form = True
    fieldsets = (
        (None, {"fields": ("title", "slug", "description", "filename", "enabled")}),
        (_("Who may do what"), {"fields": ("everyone", "operators")}),
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

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).operable_by(staff(request))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Staff of one group neither shut the others out nor let them in.
        every = staff(request).has_perm("streams.operate_every_endpoint")
        return () if every else ("operators",)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form = super().get_form(request, *args, **kwargs)
        form.user = staff(request)
        return form

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "secret":
            kwargs["queryset"] = Secret.objects.operable_by(staff(request))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description=_("host"))
    def host(self, endpoint: Endpoint) -> str:
        return urlsplit(endpoint.url).netloc or endpoint.bucket or endpoint.function
