"""What tests of notices share."""

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from streams.models import Channel
from tests.notices.receivers import MailServer, Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def mail_server(settings: Settings) -> Iterator[MailServer]:
    made = MailServer()
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", made.port
    settings.DEFAULT_FROM_EMAIL = "spillway@example.com"
    yield made
    made.close()


@pytest.fixture
def hook(db: None, receiver: Receiver) -> Channel:
    return Channel.objects.create(name="hook", kind="webhook", address=receiver.url)


@pytest.fixture
def letters(db: None, mail_server: MailServer) -> Channel:
    return Channel.objects.create(
        name="letters", kind="mail", address="ann@example.com, ben@example.com"
    )
