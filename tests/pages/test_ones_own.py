"""Of every page that names something: what is somebody else's is not there."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import URLPattern, URLResolver
from django.utils import timezone

from portal.urls import urlpatterns
from streams.access import links, tokens
from streams.models import ApiToken, ShareLink, User
from tests.pages.test_pages import download, export

pytestmark = pytest.mark.django_db

# Which have no owner, or tests of their own.
ELSEWHERE = {
    # Tried on the wire: they answer from threads that do not see a test's transaction.
    "exports/<str:slug>/download", "s/<str:text>", "front/<str:token>",
    # Of the REST API, all calls are in `tests/api/test_access.py`.
    "api/v1/<path:rest>",
    # Named by the settings, and open to strangers.
    "accounts/oidc/<slug:provider_id>/login/", "accounts/oidc/<slug:provider_id>/callback/",
}  # fmt: skip


def routes(patterns: Any = urlpatterns, before: str = "") -> Iterator[str]:
    """Those of pages that name something."""
    for one in patterns:
        route = before + str(one.pattern)
        if isinstance(one, URLResolver) and not route.startswith(("operate/", "api/")):
            yield from routes(one.url_patterns, route)
        elif isinstance(one, URLPattern) and "<" in route and "(?P" not in route:
            yield route


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def things(owner: User) -> dict[str, str]:
    """What each of them is named by: all of one user's, and of a group that only she is in."""
    group = Group.objects.create(name="hers")
    owner.groups.add(group)
    orders = export("orders", shareable=True)
    orders.readers.add(group)
    at = timezone.now() + timedelta(days=1)
    text = links.issue(owner, orders, query="", expires_at=at, most=1)
    token = ApiToken.objects.get(key=tokens.key_of(tokens.issue(owner)))
    session = UserSession.objects.create(
        user=owner, ip="192.0.2.1", user_agent="x", session_key="hers"
    )
    passkey = Authenticator.objects.create(
        user=owner, type=Authenticator.Type.WEBAUTHN, data={"name": "hers"}
    )
    row = download(orders, owner, bundle=uuid4())
    slug = "exports/<str:slug>"
    return {
        f"{slug}/": "exports/orders/",
        f"{slug}/progress": "exports/orders/progress",
        f"{slug}/parts/<uuid:pk>": f"exports/orders/parts/{row.pk}",
        f"{slug}/ready": "exports/orders/ready",
        f"{slug}/token": "exports/orders/token",
        f"{slug}/share": "exports/orders/share",
        "zip/<uuid:pk>/parts": f"zip/{row.bundle}/parts",
        "downloads/<uuid:pk>/cancel": f"downloads/{row.pk}/cancel",
        "links/<str:key>/revoke": f"links/{links.key_of(text)}/revoke",
        "accounts/tokens/<int:pk>/revoke/": f"accounts/tokens/{token.pk}/revoke/",
        "accounts/sessions/<int:pk>/end/": f"accounts/sessions/{session.pk}/end/",
        "accounts/security/passkeys/<int:pk>/": f"accounts/security/passkeys/{passkey.pk}/",
        "accounts/security/passkeys/<int:pk>/remove/":
            f"accounts/security/passkeys/{passkey.pk}/remove/",
    }  # fmt: skip


def test_no_page_is_forgotten(things: dict[str, str]) -> None:
    assert set(routes()) == set(things) | ELSEWHERE


def test_what_is_somebody_elses_is_not_there(things: dict[str, str]) -> None:
    stranger = Client()
    stranger.force_login(User.objects.create_user("ben"))

    for path in things.values():
        # One of them is for the other method.
        seen = {stranger.get(f"/{path}").status_code, stranger.post(f"/{path}").status_code}
        assert 404 in seen, path
        assert seen <= {404, 405}, path

    assert ShareLink.objects.get().revoked_at is None
    assert ApiToken.objects.get().revoked_at is None
    assert UserSession.objects.filter(session_key="hers").exists()
    assert Authenticator.objects.exists()


def test_whose_they_are_has_them(things: dict[str, str], owner: User) -> None:
    """Or the test above would show nothing."""
    hers = Client()
    hers.force_login(owner)

    for path in things.values():
        seen = {hers.get(f"/{path}").status_code, hers.post(f"/{path}").status_code}
        assert seen - {404, 405}, path
