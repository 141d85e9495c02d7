"""Signing in by password, and what strangers try."""

import re
import statistics
import time
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client
from django.test.utils import override_settings

from streams.audit import signing
from streams.models import AuditEntry, CacheRow, User
from tests.accounts.conftest import PASSWORD

pytestmark = pytest.mark.django_db

LOGIN = "/accounts/login/"


def attempt(client: Client, password: str, username: str = "ann", **fields: Any) -> Any:
    return client.post(LOGIN, {"username": username, "password": password}, **fields)


def test_an_error_is_named_by_its_field_and_stands_once(client: Client) -> None:
    page = client.post(LOGIN, {"password": "guess"}).content.decode()

    described = re.findall(r'aria-describedby="([^"]+)"', page)
    assert "id_username_error" in described
    assert [page.count(f'id="{name}"') for name in described] == [1] * len(described)


def test_guessing_is_limited_and_the_minutes_left_are_said(ann: User) -> None:
    """From changing addresses too, and whichever port a Host field names."""
    for number in range(5):
        guess = attempt(
            Client(), "guess", REMOTE_ADDR=f"192.0.2.{number}", HTTP_HOST=f"localhost:{number + 1}"
        )
        assert guess.status_code == 200

    limited = attempt(Client(), PASSWORD, REMOTE_ADDR="192.0.2.99")

    assert limited.status_code == 429
    assert "Wrong too often. Try again in 5 minutes." in limited.content.decode()
    assert attempt(Client(), PASSWORD, "bob", REMOTE_ADDR="192.0.2.99").status_code == 200


@pytest.mark.parametrize("spelt", ["BO\u017fS", "bo\u017fs", "Boss"])
def test_one_name_is_limited_however_it_is_spelt(ann: User, spelt: str) -> None:
    """PostgreSQL compares names in upper case, where a long s is an S."""
    User.objects.filter(pk=ann.pk).update(username="boss")
    for number in range(5):
        attempt(Client(), "guess", spelt, REMOTE_ADDR=f"192.0.2.{number}")

    assert attempt(Client(), PASSWORD, "boss", REMOTE_ADDR="192.0.2.99").status_code == 429


def test_one_address_is_limited_over_all_names(ann: User) -> None:
    for number in range(10):
        attempt(Client(), "guess", f"user{number}")

    assert attempt(Client(), PASSWORD).status_code == 429
    assert attempt(Client(), PASSWORD, REMOTE_ADDR="192.0.2.1").status_code == 302


@pytest.mark.parametrize("proxy", [False, True])
def test_whatever_a_client_says_of_its_address_is_no_way_around_the_limit(
    ann: User, settings: Any, proxy: bool
) -> None:
    """A proxy adds the address that it sees at the end; without one, the connection's counts."""
    if proxy:
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    def from_address(seen: str, forged: str, password: str, name: str) -> int:
        told = f"{forged}, {seen}" if proxy else forged
        connection = "10.0.0.1" if proxy else seen
        answer = attempt(
            Client(), password, name, REMOTE_ADDR=connection, HTTP_X_FORWARDED_FOR=told
        )
        status: int = answer.status_code
        return status

    for number in range(10):
        from_address("203.0.113.7", f"192.0.2.{number}", "guess", f"user{number}")

    assert from_address("203.0.113.7", "192.0.2.99", PASSWORD, "ann") == 429
    assert from_address("203.0.113.8", "203.0.113.7", PASSWORD, "ann") == 302


def test_the_limit_is_where_all_processes_see_it(ann: User) -> None:
    attempt(Client(), "guess")

    keys = CacheRow.objects.values_list("cache_key", flat=True)
    assert any("login_failed" in key for key in keys)


def test_who_signs_in_uses_up_nothing(ann: User) -> None:
    for _ in range(8):
        assert attempt(Client(), PASSWORD).status_code == 302


def test_a_stranger_cannot_make_the_audit_log_long(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert signing.REFUSALS == 100
    monkeypatch.setattr(signing, "REFUSALS", 3)
    for number in range(6):
        attempt(Client(), "guess", f"user{number}", REMOTE_ADDR=f"198.51.100.{number}")

    actions = list(AuditEntry.objects.values_list("action", flat=True))
    assert actions.count("session.refused") == 3
    assert actions.count("session.refused-often") == 1


@pytest.mark.slow
def test_an_unknown_user_is_answered_as_a_known_one(ann: User) -> None:
    """The same page, and about the same time: the password is hashed for nobody, too."""
    pages, seconds = {}, {}
    hasher = "django.contrib.auth.hashers.PBKDF2PasswordHasher"
    with override_settings(PASSWORD_HASHERS=[hasher]):
        ann.set_password(PASSWORD)
        ann.save()
        for name in ("ann", "nobody"):
            taken = []
            for number in range(4):
                client = Client(REMOTE_ADDR=f"192.0.2.{number}")
                begun = time.process_time()
                page = attempt(client, "guess", name)
                taken.append(time.process_time() - begun)
            pages[name] = page.content.decode().replace(f'value="{name}"', "")
            seconds[name] = statistics.median(taken)

    token = 'name="csrfmiddlewaretoken" value="'
    first, second = (_without(page, token) for page in pages.values())
    assert first == second
    assert 0.5 < seconds["nobody"] / seconds["ann"] < 2


def _without(page: str, start: str) -> str:
    pieces = page.split(start)
    return pieces[0] + "".join(piece[64:] for piece in pieces[1:])


def test_the_session_changes_when_somebody_signs_in(ann: User) -> None:
    client = Client()
    session = client.session
    session["planted"] = "x"
    session.save()
    client.cookies["sessionid"] = planted = str(session.session_key)

    attempt(client, PASSWORD)

    assert client.cookies["sessionid"].value != planted
    stranger = Client()
    stranger.cookies["sessionid"] = planted
    assert stranger.get("/").status_code == 302


COOKIES = {
    "SESSION_COOKIE_SECURE": True,
    "CSRF_COOKIE_SECURE": True,
    "SESSION_COOKIE_NAME": "__Host-sessionid",
    "CSRF_COOKIE_NAME": "__Host-csrftoken",
}


@override_settings(**COOKIES)
def test_cookies_belong_to_this_host_and_to_https(ann: User) -> None:
    client = Client()
    client.get(LOGIN, secure=True)

    assert attempt(client, PASSWORD, secure=True).status_code == 302

    for name in ("__Host-sessionid", "__Host-csrftoken"):
        cookie = client.cookies[name]
        assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", ""), name
        assert cookie["samesite"] == "Lax"
    assert client.cookies["__Host-sessionid"]["httponly"]


def test_every_form_needs_its_token(ann: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ann)

    for path in (
        "login/", "logout/", "reauthenticate/", "password/", "security/app/add/",
        "security/app/remove/", "security/codes/renew/", "security/passkeys/add/",
        "security/passkeys/login/", "security/passkeys/1/", "security/passkeys/1/remove/",
        "sessions/", "sessions/1/end/", "tokens/", "tokens/1/revoke/", "providers/",
        "oidc/company/login/", "password/reset/", "security/code/", "security/again/",
    ):  # fmt: skip
        assert strict.post(f"/accounts/{path}").status_code == 403, path


ELSEWHERE = ["evil.example", "localhost.evil.example", "localhost@evil.example", "evil.example:80"]
FORMS = [
    "https://{}", "http://{}/", "//{}", "///{}", "////{}", "/\\{}", "\\\\{}", "\\/{}", "/\t/{}",
    "/\n/{}", "\t//{}", " //{}", "https:{}", "https:/{}", "https:///{}", "HTTPS://{}", "//\\{}",
    "javascript://{}/%0aalert(1)", "data:text/html,{}", "ftp://{}", "https://testserver@{}",
    "https://{}#testserver", "https://{}?testserver", "//{}/..;/", "\x00//{}", "/\r//{}",
    "https://{}\\@testserver", "blob:https://{}", "view-source:https://{}", "//google%E3%80%82{}",
]  # fmt: skip
# Hosts of ours are none of the one that was asked.
OURS = ["http://127.0.0.1/", "https://localhost:99/", "//[::1]/", "javascript:alert(1)", "mailto:a"]
PLACES = [form.format(host) for form in FORMS for host in ELSEWHERE] + OURS


@pytest.mark.slow
def test_signing_in_never_leads_elsewhere(ann: User) -> None:
    assert len(PLACES) > 120
    signed_in = Client()
    signed_in.force_login(ann)

    for place in PLACES:
        answer = signed_in.get(LOGIN, {"next": place})
        assert answer.status_code == 302, place
        assert stays(answer["Location"]), place
    for number, place in enumerate(PLACES[::4]):
        form = {"username": "ann", "password": PASSWORD, "next": place}
        answer = Client(REMOTE_ADDR=f"192.0.2.{number}").post(LOGIN, form)
        assert stays(answer["Location"]), place


def stays(location: str) -> bool:
    """As browsers read it, which take a backslash for a slash."""
    whole = urljoin("http://testserver/accounts/login/", location.replace("\\", "/"))
    return urlsplit(whole)[:2] == ("http", "testserver") and location.isprintable()


def test_nobody_makes_an_account(client: Client) -> None:
    form = {"username": "eve", "password1": PASSWORD, "password2": PASSWORD}

    for path in ("signup/", "providers/signup/", "security/passkeys/signup/", "email/"):
        assert client.get(f"/accounts/{path}").status_code == 404, path
        assert client.post(f"/accounts/{path}", form).status_code == 404, path
    assert not User.objects.exists()


def test_operators_sign_in_at_the_same_page(ann: User, client: Client) -> None:
    answer = client.get("/operate/login/?next=/operate/streams/endpoint/")
    assert answer["Location"] == f"{LOGIN}?next=/operate/streams/endpoint/"

    client.force_login(ann)
    assert client.get("/operate/", follow=True).status_code == 403


def test_one_changes_ones_own_password(browser: Client, ann: User) -> None:
    new = "another-battery-7"
    other = Client()
    attempt(other, PASSWORD)

    wrong = {"oldpassword": "guess", "password1": new, "password2": new}
    assert browser.post("/accounts/password/", wrong).status_code == 200
    assert browser.post("/accounts/password/", wrong | {"oldpassword": PASSWORD}).status_code == 302

    ann.refresh_from_db()
    assert ann.check_password(new)
    assert browser.get("/").status_code == 200
    assert other.get("/").status_code == 302, "whoever knew the old one is out"
    entry = AuditEntry.objects.filter(action="user.changed").get()
    assert (entry.actor, entry.details) == ("ann", {"changes": "own password"})


def test_one_sees_and_ends_ones_sessions(browser: Client, ann: User) -> None:
    other = Client(headers={"user-agent": "Firefox canary"})
    attempt(other, PASSWORD, REMOTE_ADDR="192.0.2.9")
    eve = User.objects.create_user("eve", password=PASSWORD)
    stranger = Client()
    stranger.force_login(eve)

    page = browser.get("/accounts/sessions/")
    (theirs,) = [one for one in page.context["sessions"] if one.ip == "192.0.2.9"]

    assert b"Firefox canary" in page.content
    assert b"192.0.2.9" in page.content
    assert stranger.post(f"/accounts/sessions/{theirs.pk}/end/").status_code == 404
    assert browser.get(f"/accounts/sessions/{theirs.pk}/end/").status_code == 405
    assert other.get("/").status_code == 200
    assert browser.post(f"/accounts/sessions/{theirs.pk}/end/").status_code == 302
    assert other.get("/").status_code == 302
    assert browser.get("/").status_code == 200
    assert AuditEntry.objects.filter(action="session.ended", actor="ann").exists()


def test_that_one_signs_out_everywhere_else_is_recorded(browser: Client, ann: User) -> None:
    other = Client()
    attempt(other, PASSWORD, REMOTE_ADDR="192.0.2.9")

    assert browser.post("/accounts/sessions/").status_code == 302

    assert other.get("/").status_code == 302
    assert browser.get("/").status_code == 200
    entry = AuditEntry.objects.get(action="session.ended")
    assert (entry.actor, entry.what) == ("ann", "ann everywhere else")


MAILING = {"EMAIL_HOST": "mail.example.com", "DEFAULT_FROM_EMAIL": "spillway@example.com"}


def test_without_a_mail_server_there_is_no_reset(client: Client, ann: User) -> None:
    assert client.get("/accounts/password/reset/").status_code == 404
    assert b"Forgot" not in client.get(LOGIN).content


@pytest.mark.parametrize("path", ["password", "reauthenticate"])
def test_a_link_for_lost_passwords_leads_somewhere(browser: Client, path: str) -> None:
    page = f"/accounts/{path}/"
    without = browser.get(page).content
    with override_settings(**MAILING):
        with_mail = browser.get(page).content
        assert browser.get("/accounts/password/reset/").status_code == 200

    assert b"/accounts/password/reset/" not in without
    assert b"/accounts/password/reset/" in with_mail


def sent(mailoutbox: list[Any], count: int) -> bool:
    deadline = time.monotonic() + 5
    while len(mailoutbox) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(mailoutbox) == count


@override_settings(**MAILING, BASE_URL="https://exports.example.com")
def test_a_link_in_a_mail_sets_a_password_once(
    client: Client, ann: User, mailoutbox: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    User.objects.create_user("bea", email="bea@example.com")
    for address in ("nobody@example.com", "bea@example.com", "ann@example.com"):
        asked = client.post("/accounts/password/reset/", {"email": address}, HTTP_HOST="localhost")
        assert asked["Location"] == "/accounts/password/reset/done/", "the same for everybody"
    assert sent(mailoutbox, 1), "accounts without a password are let in by their provider alone"
    (mail,) = mailoutbox
    link = next(word for word in mail.body.split() if word.startswith("https://"))
    assert link.startswith("https://exports.example.com/accounts/password/reset/")
    path = link.removeprefix("https://exports.example.com")

    opened = client.get(path)
    # The page's own address bears no key, so that none gets into a Referer.
    place = opened["Location"]
    assert opened.status_code == 302
    assert place.endswith("-set-password/")
    assert client.get(place)["Referrer-Policy"] == "same-origin"
    new = {"password1": "another-battery-7", "password2": "another-battery-7"}
    assert client.post(place, new).status_code == 302
    ann.refresh_from_db()
    assert ann.check_password("another-battery-7")

    again = Client()
    used = again.get(path)
    assert used.status_code == 200
    assert b"already been used" in used.content
    assert again.post(place, new).status_code == 200
    assert path.split("-", 1)[1].strip("/") not in caplog.text
