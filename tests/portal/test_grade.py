"""What browsers are told to refuse: the top grade of Mozilla's HTTP Observatory on every page."""

import os
import subprocess
import sys
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings as configured
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from django.test import Client
from django.utils.module_loading import import_string
from pytest_django.fixtures import Settings

from streams.models import Endpoint, User
from tests.portal import observatory
from tests.portal.observatory import Answer

ROOT = Path(__file__).resolve().parents[2]

PAGES = {
    "sign-in": "/accounts/login/",
    "catalogue": "/",
    "an export": "/exports/orders/",
    "nowhere": "/exports/none/",
    "tokens": "/accounts/tokens/",
    "history": "/downloads/",
    "overview": "/operate/",
    "a list": "/operate/streams/endpoint/",
    "a form": "/operate/streams/endpoint/add/",
    "nowhere at /operate/": "/operate/none/",
}


@pytest.fixture
def as_deployed(settings: Settings) -> None:
    """What SPILLWAY_HTTPS sets, without a process of its own."""
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = True


def asked(client: Client, path: str) -> Answer:
    response = client.get(path, secure=True, headers={"X-Forwarded-Proto": "https"})
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(
        response.status_code,
        headers,
        SimpleCookie(response.cookies.output(header="")),
        response.text,
    )


@pytest.mark.django_db
@pytest.mark.usefixtures("as_deployed")
@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_the_top_grade(page: str) -> None:
    Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="https://a.example/", everyone=True
    )
    client = Client()
    if page != "sign-in":
        client.force_login(User.objects.create_superuser("ada"))

    answer = asked(client, PAGES[page])
    assert answer.status == (404 if "nowhere" in page else 200)

    items = observatory.score(answer)
    assert observatory.total(items) >= 100, items
    # What it does not score, or would not lose points for.
    policy = observatory.directives(answer)
    assert policy["frame-ancestors"] == policy["base-uri"] == {"'none'"}
    assert policy["form-action"] == {"'self'"}
    assert "'unsafe-inline'" not in policy["script-src"]
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in answer.headers["permissions-policy"]
    assert observatory.inline(answer.body) == []


@pytest.mark.django_db
def test_the_grade_is_lost_where_a_page_is_less_strict() -> None:
    """The rules see what they are for."""
    answer = asked(Client(), "/accounts/login/")
    items = observatory.score(answer)
    assert observatory.total(items) == 100 - 20 - 5, "http: no HSTS, no Secure"

    loose = Answer(
        200,
        {"content-security-policy": "script-src 'self' 'unsafe-inline'"},
        SimpleCookie("sessionid=1; Path=/"),
        '<script src="https://elsewhere.example/x.js"></script><a onclick="x()">',
    )
    items = observatory.score(loose)
    assert items["content-security-policy"] == -20
    assert items["cookies"] == -30
    assert items["subresource-integrity"] == -50
    assert items["x-frame-options"] == -20
    assert observatory.inline(loose.body) == ["onclick"]


def test_what_djangos_checks_look_for_is_there_under_another_name() -> None:
    """Which is why three of its checks are silenced."""
    for base in (SecurityMiddleware, XFrameOptionsMiddleware, CsrfViewMiddleware):
        assert any(
            isinstance(one, type) and issubclass(one, base)
            for one in map(import_string, configured.MIDDLEWARE)
        )
    assert len(configured.SILENCED_SYSTEM_CHECKS) == 3


@pytest.mark.slow
def test_a_portal_as_it_is_deployed_passes_every_check(tmp_path: Path) -> None:
    told: dict[str, Any] = yaml.safe_load((ROOT / "deploy/kubernetes/config.yaml").read_text())
    plain = {name: value for name, value in told["data"].items() if not name.endswith("_FILE")}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SPILLWAY_", "DJANGO_"))}
    environment = {**kept, **plain, "SPILLWAY_STATE_DIR": str(tmp_path)}

    def manage(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip

    manage("collectstatic", "--noinput")
    done = manage("check", "--deploy", "--fail-level", "DEBUG")

    assert done.returncode == 0, done.stderr
