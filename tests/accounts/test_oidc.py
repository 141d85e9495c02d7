"""Sign-in by OpenID Connect, against a provider that signs what it says, and one that errs."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.contrib.auth.models import Group
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from portal import env, oidc
from streams.models import AuditEntry, User
from tests.accounts.conftest import PASSWORD
from tests.accounts.provider import SECRET, Provider

pytestmark = pytest.mark.django_db

BEA = {
    "sub": "42", "preferred_username": "bea", "email": "bea@example.com", "email_verified": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


@pytest.fixture
def provider(running: Provider, settings: Any) -> Provider:
    running.claims, running.fault = dict(BEA), ""
    configure(running, settings, create=True)
    return running


def configure(provider: Provider, settings: Any, **given: Any) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = oidc.as_allauth(oidc.parse([provider.app(**given)]))


def begun(client: Client, **form: str) -> Any:
    return client.post("/accounts/oidc/company/login/", form)


def sign_in(client: Client, **form: str) -> Any:
    """The answer to the browser's return from the provider."""
    page = begun(client, **form)
    assert page.status_code == 200, "it leads by a page: `form-action` holds for redirects too"
    sent = requests.get(page.context["address"], allow_redirects=False, timeout=5)
    back = urlsplit(sent.headers["Location"])
    return client.get(f"{back.path}?{back.query}")


def is_in(client: Client) -> bool:
    return client.get("/").status_code == 200


def test_somebody_new_gets_an_account_where_the_setting_says_so(
    provider: Provider, client: Client
) -> None:
    answer = sign_in(client, next="/exports/orders/")

    assert answer.status_code == 302
    assert answer["Location"] == "/exports/orders/"
    assert is_in(client)
    bea = User.objects.get()
    assert (bea.username, bea.email) == ("bea", "bea@example.com")
    assert not bea.has_usable_password()
    assert not bea.is_staff
    assert not SocialToken.objects.exists()
    assert client.get("/accounts/password/").status_code == 403
    # Again: the same account, although its name has changed there.
    provider.claims |= {"preferred_username": "beatrice", "email": "b@example.com"}
    assert sign_in(Client()).status_code == 302
    assert User.objects.count() == 1


def test_an_address_that_is_not_verified_is_not_taken_over(
    provider: Provider, client: Client
) -> None:
    """Else whoever gives another's address would be linked with them later."""
    provider.claims["email_verified"] = False

    sign_in(client)

    assert User.objects.get().email == ""


def test_nobody_adds_a_provider_to_no_account(provider: Provider, client: Client) -> None:
    sign_in(client, process="connect", next="/accounts/providers/")

    assert User.objects.get().username == "bea", "it is a sign-in like any other"


@pytest.mark.parametrize("given", [{}, {"create": True}, {"link_email": False}])
def test_nobody_becomes_somebody_else(provider: Provider, settings: Any, given: Any) -> None:
    """A provider says what it likes about names and addresses."""
    bea = User.objects.create_user("bea", email="BEA@example.com", password=PASSWORD)
    configure(provider, settings, **given)
    client = Client()

    answer = sign_in(client)

    assert answer.status_code == 403
    assert b"no account here" in answer.content
    assert not is_in(client)
    assert not SocialAccount.objects.filter(user=bea).exists()


def test_a_name_that_is_taken_leads_to_a_new_account(provider: Provider, client: Client) -> None:
    User.objects.create_user("bea", email="other@example.com", password=PASSWORD)

    sign_in(client)

    assert client.get("/").wsgi_request.user.get_username() not in {"", "bea"}
    assert User.objects.count() == 2


def test_a_verified_address_links_where_the_setting_says_so(
    provider: Provider, settings: Any
) -> None:
    ann = User.objects.create_user("ann", email="Bea@example.com", password=PASSWORD)
    configure(provider, settings, link_email=True)
    provider.claims["email_verified"] = False
    client = Client()
    assert sign_in(client).status_code == 403

    provider.claims["email_verified"] = True
    assert sign_in(client).status_code == 302

    assert client.get("/").wsgi_request.user == ann
    ann.refresh_from_db()
    assert ann.check_password(PASSWORD)
    assert AuditEntry.objects.filter(action="user.linked").exists()


def test_an_address_of_two_accounts_or_of_a_disabled_one_links_none(
    provider: Provider, settings: Any
) -> None:
    ann = User.objects.create_user("ann", email="bea@example.com")
    ann2 = User.objects.create_user("ann2", email="bea@example.com")
    configure(provider, settings, link_email=True)
    assert sign_in(Client()).status_code == 403

    ann2.delete()
    ann.is_active = False
    ann.save()
    assert sign_in(Client()).status_code == 403


def test_one_adds_it_to_ones_own_account_and_takes_it_away(
    provider: Provider, settings: Any, browser: Client, ann: User
) -> None:
    configure(provider, settings)

    sign_in(browser, process="connect", next="/accounts/providers/")
    other = Client()
    sign_in(other)

    assert other.get("/").wsgi_request.user == ann
    account = SocialAccount.objects.get()
    page = browser.get("/accounts/providers/")
    assert b"Company" in page.content
    browser.post("/accounts/providers/", {"account": account.pk})
    assert not SocialAccount.objects.exists()
    actions = AuditEntry.objects.values_list("action", flat=True)
    assert {"user.linked", "user.unlinked"} <= set(actions)


def test_groups_follow_the_claim_among_those_that_are_named(
    provider: Provider, settings: Any, client: Client
) -> None:
    configure(provider, settings, create=True, groups=["analysts", "finance"])
    provider.claims["groups"] = ["analysts", "administrator", {"odd": 1}]
    sign_in(client)
    bea = User.objects.get()
    assert {group.name for group in bea.groups.all()} == {"analysts"}

    bea.groups.add(Group.objects.create(name="mine"))
    provider.claims["groups"] = ["finance"]
    sign_in(Client())

    assert {group.name for group in bea.groups.all()} == {"finance", "mine"}
    entry = AuditEntry.objects.filter(action="user.changed").first()
    assert entry is not None
    assert entry.details["changes"] == "joined finance, left analysts"


@pytest.mark.parametrize(
    "fault",
    [
        "wrong signature", "unsigned", "signed with the public key", "another issuer",
        "token of another issuer", "token for another client", "expired", "userinfo of another",
        "no token", "down", "nonsense",
    ],
)  # fmt: skip
def test_a_provider_that_errs_lets_nobody_in(
    provider: Provider, client: Client, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    page = begun(client)
    sent = requests.get(page.context["address"], allow_redirects=False, timeout=5)
    back = urlsplit(sent.headers["Location"])
    provider.fault = fault

    answer = client.get(f"{back.path}?{back.query}")

    assert answer.status_code == 401
    assert b"did not answer as it should" in answer.content
    assert not is_in(client)
    assert not User.objects.exists()
    for secret in (SECRET, "access-canary"):
        assert secret not in caplog.text
        assert secret not in answer.content.decode()


@pytest.mark.parametrize("fault", ["down", "nonsense", "another issuer"])
def test_one_that_is_down_at_the_start_is_told(
    provider: Provider, client: Client, fault: str
) -> None:
    provider.fault = fault

    assert begun(client).status_code == 401


def test_a_state_that_is_not_this_browsers_lets_nobody_in(
    provider: Provider, client: Client
) -> None:
    page = begun(client)
    sent = requests.get(page.context["address"], allow_redirects=False, timeout=5)
    back = urlsplit(sent.headers["Location"])
    victim = Client()

    for address in (f"{back.path}?{back.query}", f"{back.path}?code=x&state=y", back.path):
        assert victim.get(address).status_code == 401
    assert not is_in(victim)
    assert is_in(client) is False
    # The browser that began goes on, once.
    assert client.get(f"{back.path}?{back.query}").status_code == 302
    assert Client().get(f"{back.path}?{back.query}").status_code == 401


def test_who_changes_their_mind_is_told(provider: Provider, client: Client) -> None:
    provider.fault = "denied"

    answer = sign_in(client)

    assert answer["Location"] == "/accounts/providers/cancelled/"
    assert client.get(answer["Location"]).status_code == 200


def test_it_is_begun_by_a_post_with_its_token_alone(provider: Provider) -> None:
    strict = Client(enforce_csrf_checks=True)

    assert strict.post("/accounts/oidc/company/login/").status_code == 403
    assert strict.get("/accounts/oidc/company/login/").status_code == 405
    assert Client().post("/accounts/oidc/nobody/login/").status_code == 404


def test_nothing_of_the_query_reaches_the_provider(provider: Provider, client: Client) -> None:
    page = client.post(
        "/accounts/oidc/company/login/?auth_params=redirect_uri%3Dhttps://evil.example"
    )

    assert "evil" not in page.context["address"]


@pytest.mark.parametrize(
    "value",
    [
        "canary", "canary: 1", "[canary]", "[{id: company, canary: 1}]",
        "[{id: company, name: C, server: 'http://canary.example', client_id: a, client_secret: b}]",
        "[{id: C!, name: C, server: 'https://a.example', client_id: canary, client_secret: b}]",
        "[{id: a, name: C, server: 'https://a.example', client_id: a, client_secret: canary},"
        " {id: a, name: C, server: 'https://a.example', client_id: a, client_secret: canary}]",
        "[{id: a, name: C, server: 'https://a.example', client_id: a, client_secret: b, x: y}]",
        "{canary",
    ],
)  # fmt: skip
def test_a_wrong_setting_stops_the_start(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPILLWAY_OIDC_PROVIDERS", value)

    with pytest.raises(ImproperlyConfigured, match="SPILLWAY_OIDC_PROVIDERS is wrong") as caught:
        env.read()

    assert "canary" not in str(caught.value)


def test_the_setting_may_be_a_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text(
        "- {id: a, name: A, server: 'https://a.example', client_id: x, client_secret: y}\n"
    )
    monkeypatch.setenv("SPILLWAY_OIDC_PROVIDERS_FILE", str(path))

    (found,) = env.read().oidc_providers

    assert (found.id, found.create, found.link_email) == ("a", False, False)
