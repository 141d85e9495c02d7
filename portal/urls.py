"""Which view answers which address."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from streams.api.site import api
from streams.views import downloads, front, health, pages

urlpatterns = [
    path("", pages.catalogue, name="catalogue"),
    path("exports/<str:slug>/", pages.export, name="export"),
    path("exports/<str:slug>/progress", pages.progress, name="progress"),
    path("exports/<str:slug>/download", downloads.download, name="download"),
    path("accounts/login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("operate/", admin.site.urls),
    path("api/v1/", api.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("front/<str:token>", front.front_file, name="front"),
]
