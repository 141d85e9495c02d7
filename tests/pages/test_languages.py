"""Pages in the reader's language, which they may choose; programs are answered in English."""

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from pytest_django.fixtures import Settings

from streams.models import Endpoint, ReadyRequest, User
from streams.notices.ready import _message

pytestmark = pytest.mark.django_db
PAGE: dict[str, Any] = {"HTTP_ACCEPT": "text/html"}
SIGN_IN = "/accounts/login/"


def test_a_page_is_in_the_language_that_the_browser_asks_for(client: Client) -> None:
    german = client.get(SIGN_IN, HTTP_ACCEPT_LANGUAGE="de-AT,en;q=0.5", **PAGE)
    other = client.get(SIGN_IN, HTTP_ACCEPT_LANGUAGE="tlh", **PAGE)

    assert '<html lang="de" dir="ltr">' in german.content.decode()
    assert "Mit einem Passkey anmelden" in german.content.decode()
    assert german["Content-Language"] == "de"
    assert "Accept-Language" in german["Vary"]
    assert other["Content-Language"] == "en-gb"


def test_a_language_is_chosen_without_an_account_and_kept(client: Client) -> None:
    page = client.get(f"{SIGN_IN}?next=/downloads/", **PAGE).content.decode()
    assert f'name="next" value="{SIGN_IN}?next=/downloads/"' in page

    chosen = client.post("/language/", {"language": "de", "next": f"{SIGN_IN}?next=/downloads/"})

    assert chosen["Location"] == f"{SIGN_IN}?next=/downloads/"
    cookie = client.cookies["language"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    page = client.get(SIGN_IN, HTTP_ACCEPT_LANGUAGE="en", **PAGE).content.decode()
    assert "Anmelden" in page
    assert 'aria-current="true">Deutsch<' in page


def test_choosing_a_language_needs_a_token_and_leads_nowhere_else(client: Client) -> None:
    strict = Client(enforce_csrf_checks=True)

    assert strict.post("/language/", {"language": "de"}).status_code == 403
    answer = client.post("/language/", {"language": "de", "next": "//evil.example"})
    assert answer["Location"] == "/"
    client.post("/language/", {"language": "tlh"})
    assert client.cookies["language"].value == "de"


def test_what_is_shown_once_is_not_lost_to_a_change_of_language(client: Client) -> None:
    Endpoint.objects.create(slug="orders", title="Orders", kind="http", everyone=True,
                            url="https://x.example/")  # fmt: skip
    client.force_login(User.objects.create_user("ann"))

    shown = client.post("/exports/orders/token", **PAGE).content.decode()

    assert "export TOKEN=spw_" in shown
    assert 'name="language"' not in shown


def test_programs_are_answered_in_english_unless_they_name_a_language(
    client: Client, settings: Settings
) -> None:
    settings.LANGUAGE_CODE = "de"

    missing = client.get("/s/" + "x" * 55)
    api = client.get("/api/v1/exports", HTTP_ACCEPT_LANGUAGE="de")
    page = client.get("/s/" + "x" * 55, **PAGE)

    assert missing.json()["error"]["message"] == "This link does not work, or no longer."
    assert api["Content-Language"] == "en-gb"
    assert "Dieser Link funktioniert nicht oder nicht mehr." in page.content.decode()


def test_mails_are_in_the_language_of_the_portal(settings: Settings) -> None:
    settings.LANGUAGE_CODE, settings.DEFAULT_FROM_EMAIL = "de", "portal@example.com"
    orders = Endpoint(slug="orders", title="Bestellungen")

    mail = _message(ReadyRequest(endpoint=orders, user=User(email="ann@example.com")))

    assert mail.subject == "Spillway: Bestellungen kann wieder heruntergeladen werden."
    assert "Sie wollten einmal Bescheid bekommen." in str(mail.body)


def test_the_address_whom_to_ask_is_the_operators_or_translated(client: Client) -> None:
    client.force_login(User.objects.create_user("ann"))

    page = client.get("/", HTTP_ACCEPT_LANGUAGE="de", **PAGE).content.decode()

    assert "Fragen Sie Ihre Administration." in page
    assert django_settings.CONTACT == "your administrator"
