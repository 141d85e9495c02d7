"""API tokens that users make for themselves: what they open, and for how long."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client, RequestFactory
from django.utils import timezone

from streams.access import tokens
from streams.access.identity import identify
from streams.delivery import downloads
from streams.delivery.conditions import Asked
from streams.models import ApiToken, AuditEntry, Endpoint, Scope, User
from tests.accounts.conftest import PASSWORD

pytestmark = pytest.mark.django_db

PAGE = "/accounts/tokens/"
ASKED = Asked(
    query="", range=None, if_range=None, if_none_match=None, accept_encoding=None, head_only=True
)


def export(slug: str, **fields: Any) -> Endpoint:
    given = {"title": slug.title(), "kind": "http", "url": "http://127.0.0.1:1/", "everyone": True}
    return Endpoint.objects.create(slug=slug, **(given | fields))


def made(browser: Client, **form: Any) -> str:
    """The token as the page shows it."""
    page = browser.post(PAGE, {"name": "cron", "scope": "download", "days": "30"} | form)
    assert page.status_code == 200, page.context["form"].errors
    found = re.findall(r"spw_[0-9a-f]{12}_[\w-]{43}", page.content.decode())
    assert len(found) == 1
    assert "no-store" in page["Cache-Control"]
    return str(found[0])


def bearer(token: str, path: str, method: str = "get", **fields: Any) -> Any:
    return getattr(Client(), method)(path, headers={"Authorization": f"Bearer {token}"}, **fields)


def test_a_token_is_shown_once_and_kept_as_a_digest(
    browser: Client, ann: User, caplog: pytest.LogCaptureFixture
) -> None:
    text = made(browser, name="<nightly>")

    token = ApiToken.objects.get()
    assert token.user == ann
    assert token.expires_at is not None
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)
    again = browser.get(PAGE).content.decode()
    assert text not in again
    assert "&lt;nightly&gt;" in again
    assert f"spw_{token.key}_…" in again
    entry = AuditEntry.objects.get(action="token.added")
    secret = text.split("_", 2)[2]
    for told in (caplog.text, str(entry.details), entry.what, token.digest):
        assert secret not in told


@pytest.mark.parametrize(
    "form",
    [
        {"days": "366"}, {"days": "0"}, {"days": ""}, {"name": ""}, {"scope": "everything"},
        {"scope": "operate"}, {"scope": "chosen"},
        {"scope": "chosen", "exports": ["others"]},
    ],
)  # fmt: skip
def test_what_is_not_ones_own_to_give_is_refused(browser: Client, form: dict[str, Any]) -> None:
    others = export("others", everyone=False)
    if "exports" in form:
        form = form | {"exports": [str(others.pk)]}

    answer = browser.post(PAGE, {"name": "x", "scope": "download", "days": "1"} | form)

    assert answer.status_code == 422
    assert not ApiToken.objects.exists()


def test_the_longest_life_is_a_setting(browser: Client, settings: Any) -> None:
    settings.TOKEN_MAX_LIFE = 7

    assert browser.get(PAGE).context["form"]["days"].value() == 7
    assert browser.post(PAGE, {"name": "x", "scope": "download", "days": "8"}).status_code == 422


def test_each_scope_opens_what_it_says(browser: Client, ann: User) -> None:
    orders, _ = export("orders"), export("people")
    ann.is_staff = ann.is_superuser = True
    ann.save()
    chosen = {"scope": "chosen", "exports": [str(orders.pk)]}
    given = {
        "download": made(browser),
        "chosen": made(browser, **chosen),
        "read": made(browser, scope="read"),
        "operate": made(browser, scope="operate"),
        "everything": tokens.issue(ann),
    }

    opened: dict[str, list[str]] = {name: [] for name in given}
    for name, token in given.items():
        for slug in ("orders", "people"):
            if downloads_from(token, slug):
                opened[name].append(slug)
        if bearer(token, "/api/v1/endpoints/orders/doctor").status_code != 403:
            opened[name].append("read")
        if bearer(token, "/api/v1/endpoints/orders/doctor", "post").status_code != 403:
            opened[name].append("change")

    assert opened == {
        "download": ["orders", "people"],
        "chosen": ["orders"],
        "read": ["read"],
        "operate": ["read", "change"],
        "everything": ["orders", "people", "read", "change"],
    }
    # It opens no more than its user has, and no others when its own are gone.
    orders.delete()
    assert not downloads_from(given["chosen"], "people")
    User.objects.update(is_staff=False, is_superuser=False)
    Endpoint.objects.update(everyone=False)
    assert not downloads_from(given["download"], "people")


def test_everybody_may_read_the_catalogue_through_the_api(browser: Client) -> None:
    export("orders")

    answer = bearer(made(browser, scope="read"), "/api/v1/exports")

    assert [one["slug"] for one in answer.json()["items"]] == ["orders"]


def downloads_from(token: str, slug: str) -> bool:
    request = RequestFactory().head("/", headers={"Authorization": f"Bearer {token}"})
    try:
        downloads.permit(identify(request), slug, ASKED)
    except downloads.NotVisibleError:
        return False
    return True


def test_one_revokes_ones_own_alone(browser: Client, ann: User) -> None:
    text = made(browser)
    token = ApiToken.objects.get()
    stranger = Client()
    stranger.force_login(User.objects.create_user("eve"))

    assert stranger.post(f"{PAGE}{token.pk}/revoke/").status_code == 404
    assert token.name not in stranger.get(PAGE).content.decode()
    assert browser.get(f"{PAGE}{token.pk}/revoke/").status_code == 405
    assert tokens.authenticate(text)
    for _ in range(2):
        browser.post(f"{PAGE}{token.pk}/revoke/")

    assert tokens.authenticate(text) is None
    assert not browser.get(PAGE).context["tokens"]
    assert AuditEntry.objects.filter(action="token.revoked").count() == 1


def test_nobody_makes_more_than_there_is_use_for(browser: Client, ann: User) -> None:
    for _ in range(50):
        tokens.issue(ann)

    answer = browser.post(PAGE, {"name": "x", "scope": "download", "days": "1"})

    assert "Revoke one that you no longer need" in answer.content.decode()


def test_guessing_is_limited_and_shuts_nobody_else_out(ann: User) -> None:
    path = "/api/v1/doctor"
    right, other = tokens.issue(ann), tokens.issue(ann)
    wrong = right[:-43] + "x" * 43
    statuses = {bearer(wrong, path).status_code for _ in range(20)}
    assert statuses == {401}

    limited = bearer(right, path)

    assert limited.status_code == 429
    assert 290 < int(limited["Retry-After"]) <= 300
    assert bearer(other, path).status_code not in {401, 429}
    assert bearer(right, path, REMOTE_ADDR="192.0.2.1").status_code not in {401, 429}


def test_operators_see_all_of_them_and_what_they_are_for(browser: Client) -> None:
    made(browser)
    operator = Client()
    operator.force_login(User.objects.create_superuser("op", password=PASSWORD))

    page = operator.get("/operate/streams/apitoken/").content.decode()

    assert "cron" in page
    assert str(Scope.DOWNLOAD.label) in page
