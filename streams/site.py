"""The operators' site, at /operate/.

Not in `streams.admin`: that package registers its pages here as it is imported.
"""

from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite

# Of our own tables, those that tell who may have what: they are listed beside Django's groups.
_ACCESS = {"User", "ApiToken", "ShareLink"}


class OperatorsSite(UnfoldAdminSite):  # type: ignore[misc]  # the package has no types
    """Django's admin in Unfold's clothes. Rules live in models and queries, none here."""

    site_title = "Spillway"
    site_header = "Spillway"
    index_title = _("Overview")

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """What needs attention and how much is sent, above Django's own list of tables."""
        # Late: that package registers its pages here as it is imported.
        from streams.admin.overview import overview

        return super().index(request, (extra_context or {}) | overview(request))  # type: ignore[no-any-return]

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Everybody signs in at one place, with whatever that asks for."""
        if request.user.is_authenticated:
            raise PermissionDenied
        address = request.GET.get("next") or reverse("admin:index")
        return redirect_to_login(address)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return redirect("account_change_password")

    def extra_urls(self) -> list[URLPattern]:
        # Late, for the same reason.
        from streams.admin import effective
        from streams.admin.doctor import portal_page
        from streams.admin.repairs import repair_page

        fix = "doctor/runs/<int:run>/<int:number>/fix/"
        return [
            path("doctor/", self.admin_view(portal_page), name="doctor"),
            path(fix, self.admin_view(repair_page), name="doctor_fix"),
            path("settings/", self.admin_view(effective.page), name="settings"),
        ]

    def search(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Unfold's own would keep for minutes what somebody saw, also when they may no longer."""
        from streams.admin import search

        return search.page(request, lambda: self.each_context(request))

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """By subject, with the pages that are no table's among the tables of theirs."""
        apps = super().get_app_list(request, app_label)
        _gather_access({app["app_label"]: app["models"] for app in apps})
        if request.user.has_perm("streams.view_checkup"):
            pages = [
                {"name": name, "object_name": name, "view_only": True, "admin_url": reverse(url)}
                for name, url in ((_("Doctor"), "admin:doctor"), (_("Settings"), "admin:settings"))
            ]
            for app in apps:
                if app["app_label"] == "streams":
                    app["models"][:0] = pages
        return apps


def _gather_access(tables: dict[str, list[dict[str, Any]]]) -> None:
    """Moves what is about access to where groups are, if both are listed."""
    if {"auth", "streams"} <= tables.keys():
        moved = [one for one in tables["streams"] if one["object_name"] in _ACCESS]
        tables["auth"] += moved
        tables["auth"].sort(key=lambda one: str(one["name"]).lower())
        tables["streams"][:] = [one for one in tables["streams"] if one not in moved]
