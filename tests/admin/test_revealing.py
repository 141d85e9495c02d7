"""A secret's value is shown to an administrator who proves again who they are, and never kept."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connections
from django.test import Client

from streams.access.roles import Role, make_groups
from streams.models import AuditEntry, Secret, User

pytestmark = pytest.mark.django_db

VALUE = "canary-" + "v" * 32


@pytest.fixture
def secret() -> Secret:
    made = Secret.objects.create(name="orders")
    made.set_value(VALUE)
    return made


@pytest.fixture
def administrator(client: Client) -> Client:
    user = User.objects.create_user("ada", password="correct", is_staff=True)
    user.groups.add(Group.objects.get(name=Role.ADMINISTRATOR))
    client.force_login(user)
    return client


def asked(client: Client, secret: Secret, **fields: str) -> Any:
    return client.post(f"/operate/streams/secret/{secret.pk}/reveal/", {"what": "reveal", **fields})


def actions() -> list[str]:
    found = AuditEntry.objects.filter(action__startswith="secret.reveal").order_by("number")
    return list(found.values_list("action", flat=True))


def test_the_password_is_asked_for_and_the_value_shown(
    administrator: Client, secret: Secret
) -> None:
    page = administrator.get(f"/operate/streams/secret/{secret.pk}/reveal/").content.decode()
    assert "Your password" in page

    answer = asked(administrator, secret, password="correct")

    assert VALUE in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    entry = AuditEntry.objects.get(action="secret.revealed")
    assert (entry.actor, entry.what, entry.details["version"]) == ("ada", "orders", "1")
    assert VALUE not in str(entry.details)
    # It is not in the session either, nor on the page that asks.
    assert VALUE not in str(dict(administrator.session))
    again = administrator.get(f"/operate/streams/secret/{secret.pk}/reveal/")
    assert VALUE not in again.content.decode()


def test_the_password_holds_for_some_minutes(administrator: Client, secret: Secret) -> None:
    asked(administrator, secret, password="correct")
    assert VALUE in asked(administrator, secret).content.decode()

    session = administrator.session
    session["sure_until"] -= 301
    session.save()

    assert VALUE not in asked(administrator, secret).content.decode()
    assert actions() == ["secret.revealed"] * 2


def test_a_wrong_password_shows_nothing_and_is_recorded(
    administrator: Client, secret: Secret
) -> None:
    answer = asked(administrator, secret, password="wrong-canary")

    assert VALUE not in answer.content.decode()
    assert "This is not your password." in answer.content.decode()
    assert "wrong-canary" not in answer.content.decode()
    assert actions() == ["secret.reveal-refused"]


def test_after_five_wrong_passwords_none_is_tried(administrator: Client, secret: Secret) -> None:
    for _ in range(5):
        asked(administrator, secret, password="wrong")

    answer = asked(administrator, secret, password="correct")

    assert VALUE not in answer.content.decode()
    assert "Too many wrong passwords." in answer.content.decode()
    assert actions() == ["secret.reveal-refused"] * 5


@pytest.mark.django_db(transaction=True)
def test_many_at_once_get_no_more_tries() -> None:
    make_groups()
    secret = Secret.objects.create(name="orders")
    ada = User.objects.create_user("ada", password="correct", is_staff=True)
    ada.groups.add(Group.objects.get(name=Role.ADMINISTRATOR))
    signed_in = Client()
    signed_in.force_login(ada)
    together = threading.Barrier(10)

    def guess(_: int) -> str:
        client = Client()
        client.cookies.update(signed_in.cookies)
        together.wait()
        try:
            return str(asked(client, secret, password="wrong").content.decode())
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        pages = list(pool.map(guess, range(10)))

    assert sum("This is not your password." in page for page in pages) == 5
    assert sum("Too many wrong passwords." in page for page in pages) == 5
    assert actions() == ["secret.reveal-refused"] * 5


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_it_is_for_administrators(client: Client, secret: Secret, role: Role) -> None:
    user = User.objects.create_user("op", password="correct", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)

    assert asked(client, secret, password="correct").status_code == 403
    assert not actions()
