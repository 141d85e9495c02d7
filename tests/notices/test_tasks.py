"""A message is a doorbell: what is to be told is a row, which the tick finds."""

from collections.abc import Iterator

import pytest
from celery import Celery

from portal.celery import app
from streams import tasks
from streams.models import Channel, Notice, NoticeEvent
from tests.notices.receivers import MailServer, Receiver
from tests.notices.test_webhook import told


@pytest.fixture
def celery_app() -> Iterator[Celery]:
    """Another application, whose settings are a test's own."""
    made = Celery("tests", broker="amqp://127.0.0.1:1//")
    made.set_current()
    yield made
    app.set_current()


@pytest.fixture
def _heard(celery_app: Celery) -> None:
    """Messages reach a worker, which is this process."""
    celery_app.conf.task_always_eager = celery_app.conf.task_eager_propagates = True


@pytest.mark.usefixtures("_heard")
def test_the_tick_sends_what_no_message_rang_for(
    hook: Channel, letters: Channel, receiver: Receiver, mail_server: MailServer
) -> None:
    # Told, and whatever rang for it was lost.
    for number in range(3):
        event = NoticeEvent.ROTATION_FAILED
        Notice.objects.tell(event, key=f"{number}", summary="It has failed.", data={})

    for _ in range(2):
        tasks.advance_due()

    assert len(receiver.posts) == 3
    assert len(mail_server.mails) == 3


@pytest.mark.usefixtures("_heard")
def test_a_message_that_comes_twice_sends_once(hook: Channel, receiver: Receiver) -> None:
    notice = told()

    for _ in range(2):
        tasks.send_notice.delay(str(notice.pk))

    assert len(receiver.posts) == 1


@pytest.mark.usefixtures("celery_app")
def test_a_broker_that_is_not_there_loses_nothing_and_stops_nobody(hook: Channel) -> None:
    notice = told()

    tasks.ring_notices()

    assert Notice.objects.due().get() == notice
