"""Endpoints, and who may download from them."""

from urllib.parse import urlsplit

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline

from streams.models import Endpoint, Grant
from streams.registry import check


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    """Accepts what a registry file might say, and nothing else."""

    class Meta:
        model = Endpoint
        fields = (
            "title", "slug", "description", "filename", "enabled", "everyone",
            "kind", "url", "function", "bucket", "key", "region", "role_arn",
            "auth", "secret", "delivery", "keep_gzip", "segments", "pages", "params", "follows",
            "limits",
        )  # fmt: skip

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
class EndpointAdmin(ModelAdmin):  # type: ignore[misc]
    form = EndpointForm
    list_display = ("title", "slug", "kind", "host", "auth", "everyone", "enabled")
    list_filter = ("kind", "auth", "enabled", "everyone")
    search_fields = ("title", "slug", "url", "bucket", "function")
    inlines = (GrantInline,)
    list_select_related = ("secret",)
    warn_unsaved_form = True
    fieldsets = (
        (None, {"fields": ("title", "slug", "description", "filename", "enabled", "everyone")}),
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

    @admin.display(description=_("host"))
    def host(self, endpoint: Endpoint) -> str:
        return urlsplit(endpoint.url).netloc or endpoint.bucket or endpoint.function
