"""Second factors: set up, asked for, demanded of groups, and not to be guessed."""

import time
from typing import Any

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from cryptography.fernet import Fernet
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from streams.access import tokens
from streams.access.identity import AnonymousError, identify
from streams.middleware import Authentication
from streams.models import AuditEntry, Endpoint, GroupPolicy, User
from tests.accounts.conftest import PASSWORD

pytestmark = pytest.mark.django_db

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
CODE = "/accounts/security/code/"


def code(secret: str = SECRET) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def with_app(user: User) -> User:
    TOTP.activate(user, SECRET)
    return user


def by_password(user: str = "ann") -> Client:
    client = Client()
    client.post("/accounts/login/", {"username": user, "password": PASSWORD})
    return client


def is_in(client: Client) -> bool:
    return client.get("/").status_code == 200


def test_an_app_is_set_up_and_then_asked_for(browser: Client, ann: User) -> None:
    page = browser.get("/accounts/security/app/add/")
    secret = page.context["form"].secret
    assert b"data:image/svg+xml" in page.content
    wrong = browser.post("/accounts/security/app/add/", {"code": "000000"})
    assert wrong.status_code == 200
    done = browser.post("/accounts/security/app/add/", {"code": code(secret)}, follow=True)

    codes = done.context["unused_codes"]
    assert len(codes) == 10
    assert codes[0] in done.content.decode()
    # Shown once; kept encrypted.
    assert codes[0] not in browser.get("/accounts/security/codes/").content.decode()
    assert secret not in str(list(Authenticator.objects.values_list("data", flat=True)))

    client = by_password()
    assert not is_in(client)
    assert client.post(CODE, {"code": codes[0]}).status_code == 302
    assert is_in(client)
    again = by_password()
    again.post(CODE, {"code": codes[0]})
    assert not is_in(again), "a recovery code works once"


def test_adding_and_removing_one_is_recorded(
    browser: Client, ann: User, django_capture_on_commit_callbacks: Any
) -> None:
    secret = browser.get("/accounts/security/app/add/").context["form"].secret
    with django_capture_on_commit_callbacks(execute=True):
        browser.post("/accounts/security/app/add/", {"code": code(secret)})
    browser.post("/accounts/security/app/remove/")

    entries = AuditEntry.objects.filter(action__startswith="second-factor").order_by("number")
    told = [(entry.action.partition(".")[2], entry.what.split()[0]) for entry in entries]
    assert ("added", "totp") in told
    assert ("removed", "totp") in told
    assert not Authenticator.objects.exists()


def test_a_code_of_the_app_opens_once(ann: User) -> None:
    with_app(ann)
    one = code()
    first, second = by_password(), by_password()

    first.post(CODE, {"code": one})
    second.post(CODE, {"code": one})

    assert is_in(first)
    assert not is_in(second)


def test_codes_are_not_guessed(ann: User) -> None:
    with_app(ann)
    for number in range(5):
        by_password().post(CODE, {"code": f"{number:06}"}, REMOTE_ADDR=f"192.0.2.{number}")
    client = by_password()

    answer = client.post(CODE, {"code": code()}, REMOTE_ADDR="192.0.2.99")

    assert b"Wrong too often. Try again in 5 minutes." in answer.content
    assert not is_in(client)
    refused = AuditEntry.objects.filter(action="session.refused")
    assert {(entry.what, entry.details["by"]) for entry in refused} == {("ann", "second factor")}


@pytest.fixture
def demanding(ann: User) -> Group:
    group = Group.objects.create(name="analysts")
    GroupPolicy.objects.create(group=group, second_factor=True)
    ann.groups.add(group)
    return group


def export() -> Endpoint:
    return Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="https://a.example", everyone=True
    )


def test_who_needs_one_is_nobody_until_they_have_it(
    browser: Client, demanding: Group, ann: User
) -> None:
    export()
    ann.is_staff = ann.is_superuser = True
    ann.save()

    for path in ("/", "/exports/orders/", "/operate/", "/operate/streams/secret/"):
        answer = browser.get(path, follow=True)
        assert answer.request["PATH_INFO"] == "/accounts/security/", path
    with pytest.raises(AnonymousError):
        identify(download_of(browser))
    assert browser.get("/exports/orders/progress").status_code == 302
    assert browser.post("/operate/streams/endpoint/add/").status_code == 302
    # Of the account, what leads out of it and to it.
    for path in ("security/app/add/", "security/passkeys/add/"):
        assert browser.get(f"/accounts/{path}").status_code == 200, path

    with_app(ann)

    assert is_in(browser)
    assert browser.get("/operate/").status_code == 200
    assert identify(download_of(browser)).user == ann


def download_of(browser: Client) -> HttpRequest:
    """Downloads ask the database in a thread of their own, which sees nothing of a test's."""
    request = RequestFactory().get("/exports/orders/download")
    request.session = browser.session
    Authentication(lambda _: HttpResponse()).process_request(request)
    return request


def test_a_missing_factor_makes_no_tokens(browser: Client, demanding: Group, ann: User) -> None:
    answer = browser.post("/accounts/tokens/", {"name": "x", "scope": "download", "days": "1"})

    assert answer.status_code == 302
    assert not ann.api_tokens.exists()


def test_what_another_member_has_counts_for_them_alone(browser: Client, demanding: Group) -> None:
    bea = User.objects.create_user("bea", password=PASSWORD)
    bea.groups.add(demanding)

    with_app(bea)
    assert not is_in(browser)

    with_app(User.objects.get(username="ann"))
    Authenticator.objects.filter(user=bea).delete()
    assert is_in(browser)


def test_their_tokens_go_on(demanding: Group, ann: User) -> None:
    token = tokens.issue(ann)

    answer = Client().get("/api/v1/doctor", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 403, "no staff; 401 would say that the token is not good"


def test_an_administrator_says_which_groups_and_helps_who_lost_theirs(ann: User) -> None:
    operator = Client()
    operator.force_login(User.objects.create_superuser("op", password=PASSWORD))
    operator.post("/operate/auth/group/add/", {"name": "analysts", "second_factor": "on"})
    assert GroupPolicy.objects.get().second_factor
    page = operator.get(f"/operate/auth/group/{Group.objects.get(name='analysts').pk}/change/")
    assert page.context["adminform"].form["second_factor"].value()

    with_app(ann)
    client = by_password()
    client.post(CODE, {"code": code()})
    form = {"action": "remove_second_factors", "_selected_action": [ann.pk]}
    operator.post("/operate/streams/user/", form)

    assert not Authenticator.objects.exists()
    assert not is_in(client)
    assert is_in(by_password())
    entry = AuditEntry.objects.filter(action="user.changed", what="ann").get()
    assert entry.details == {"changes": "second factors removed"}


def test_they_are_stored_anew_under_the_newest_key(ann: User, settings: Any) -> None:
    with_app(ann)
    newest = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [newest, *settings.ENCRYPTION_KEYS]

    call_command("rekey")
    settings.ENCRYPTION_KEYS = [newest]

    assert get_adapter().decrypt(Authenticator.objects.get().data["secret"]) == SECRET
