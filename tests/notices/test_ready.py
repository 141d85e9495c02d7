"""An end user is told once that an export is ready again, through a real mail server."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from streams.models import Checkup, Endpoint, Health, ReadyRequest, User
from streams.notices import ready
from tests.notices.receivers import MailServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def orders() -> Endpoint:
    made = Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="https://x.example/", everyone=True
    )
    found(made, Health.FAILING)
    return made


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", email="ann@example.com")


@pytest.fixture
def browser(client: Client, ann: User) -> Client:
    client.force_login(ann)
    return client


def found(endpoint: Endpoint, health: Health, **fields: Any) -> None:
    given = {"health": health, "looked_at": timezone.now() + timedelta(seconds=1), **fields}
    Checkup.objects.update_or_create(endpoint=endpoint, defaults=given)


def tell_all() -> None:
    for pk in ReadyRequest.objects.values_list("pk", flat=True):
        ready.tell(pk)


def test_who_asked_gets_one_mail_when_it_is_well(
    browser: Client, orders: Endpoint, mail_server: MailServer, settings: Settings
) -> None:
    settings.BASE_URL = "https://exports.example.com"
    assert "Unavailable" in browser.get("/").content.decode()
    assert "Tell me when ready" in browser.get("/exports/orders/").content.decode()
    for _ in range(2):
        browser.post("/exports/orders/ready")

    tell_all()
    assert mail_server.mails == []
    found(orders, Health.HEALTHY)
    tell_all()
    tell_all()

    (mailed,) = mail_server.mails
    assert mailed.recipients == ["ann@example.com"]
    assert mailed.message["Subject"] == "Spillway: Orders can be downloaded again."
    assert "https://exports.example.com/exports/orders/" in mailed.message.get_content()
    assert not ReadyRequest.objects.exists()
    assert "Ready" in browser.get("/").content.decode()


def test_what_was_found_before_is_no_answer(
    ann: User, orders: Endpoint, mail_server: MailServer
) -> None:
    found(orders, Health.HEALTHY, looked_at=timezone.now() - timedelta(minutes=1))
    ready.ask(ann, orders)

    tell_all()

    assert mail_server.mails == []


def test_a_mail_that_cannot_be_sent_is_tried_again_later(
    ann: User, orders: Endpoint, mail_server: MailServer
) -> None:
    ready.ask(ann, orders)
    found(orders, Health.HEALTHY)
    mail_server.replies["RCPT"] = "451 later"

    tell_all()
    tell_all()
    assert mail_server.connections == 1, "two attempts at once"
    mail_server.replies.clear()
    ReadyRequest.objects.update(tried_at=timezone.now() - timedelta(minutes=16))
    tell_all()

    assert len(mail_server.mails) == 1
    assert not ReadyRequest.objects.exists()


def test_who_may_not_have_it_any_more_is_not_told(
    ann: User, orders: Endpoint, mail_server: MailServer
) -> None:
    ready.ask(ann, orders)
    found(orders, Health.HEALTHY)
    Endpoint.objects.update(everyone=False)

    tell_all()

    assert mail_server.mails == []
    assert not ReadyRequest.objects.exists()


def test_without_a_mail_server_or_an_address_nothing_is_promised(
    browser: Client, ann: User, orders: Endpoint, settings: Settings
) -> None:
    settings.EMAIL_HOST = ""

    page = browser.get("/exports/orders/").content.decode()
    browser.post("/exports/orders/ready")

    assert "Unavailable at the moment" in page
    assert "Tell me when ready" not in page
    assert not ReadyRequest.objects.exists()


def test_one_is_told_of_nothing_that_one_may_not_have(browser: Client, orders: Endpoint) -> None:
    Endpoint.objects.update(everyone=False)

    assert browser.post("/exports/orders/ready").status_code == 404
    assert browser.get("/exports/orders/ready").status_code == 405
