"""Which view answers which address."""

from django.contrib import admin
from django.urls import include, path
from django.views.i18n import set_language

import streams.admin  # noqa: F401 - registers its pages
from streams.api.site import api, missing
from streams.views import (
    downloads,
    front,
    health,
    history,
    links,
    metrics,
    pages,
    progress,
    sharing,
    zips,
)

urlpatterns = [
    path("", pages.catalogue, name="catalogue"),
    path("exports/<str:slug>/", pages.export, name="export"),
    path("exports/<str:slug>/progress", progress.of_export, name="progress"),
    path("exports/<str:slug>/download", downloads.download, name="download"),
    path("exports/<str:slug>/parts/<uuid:pk>", pages.parts, name="parts"),
    path("exports/<str:slug>/ready", pages.tell_when_ready, name="tell_when_ready"),
    path("exports/<str:slug>/token", pages.token, name="token"),
    path("exports/<str:slug>/share", sharing.share, name="share"),
    path("downloads/", history.history, name="history"),
    path("downloads/<uuid:pk>/cancel", progress.cancel, name="cancel"),
    path("zip/", zips.page, name="zip"),
    path("zip/download", zips.download, name="zip_download"),
    path("zip/<uuid:pk>/parts", zips.parts, name="zip_parts"),
    path("zip/progress", progress.of_zips, name="zip_progress"),
    path("links/", sharing.links, name="links"),
    path("links/<str:key>/revoke", sharing.revoke, name="revoke_link"),
    path("s/<str:text>", links.shared, name="shared"),
    path("accounts/", include("portal.account_urls")),
    path("operate/", admin.site.urls),
    path("api/v1/", missing),
    path("api/v1/", api.urls),
    path("api/v1/<path:rest>", missing),
    path("language/", set_language, name="set_language"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("front/<str:token>", front.front_file, name="front"),
]
