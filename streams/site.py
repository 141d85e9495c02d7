"""The operators' site, at /operate/.

Not in `streams.admin`: that package registers its pages here as it is imported.
"""

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite

from streams import audit


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

    @transaction.atomic
    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One's own. Django logs this nowhere."""
        answer: HttpResponse = super().password_change(request, extra_context)
        if request.method == "POST" and answer.status_code == 302:
            who: Any = request.user
            details = {"changes": "own password"}
            audit.record("user.changed", by=who, what=who.get_username(), details=details)
        return answer

    def extra_urls(self) -> list[URLPattern]:
        # Late, for the same reason.
        from streams.admin.doctor import portal_page
        from streams.admin.repairs import repair_page

        fix = "doctor/runs/<int:run>/<int:number>/fix/"
        return [
            path("doctor/", self.admin_view(portal_page), name="doctor"),
            path(fix, self.admin_view(repair_page), name="doctor_fix"),
        ]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """With the pages that are no table's, among the tables of their app."""
        apps = super().get_app_list(request, app_label)
        if request.user.has_perm("streams.view_checkup"):
            doctor = {"name": _("Doctor"), "object_name": "Doctor", "view_only": True}
            for app in apps:
                if app["app_label"] == "streams":
                    app["models"].insert(0, doctor | {"admin_url": reverse("admin:doctor")})
        return apps
