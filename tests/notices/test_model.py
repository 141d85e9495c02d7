"""Notices as rows: one for each change and channel, and none for whom it does not concern."""

import threading

import pytest
from django.db import connection, transaction

from streams.models import Channel, Notice, NoticeEvent

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def channel(db: None) -> Channel:
    return Channel.objects.create(name="hook", kind="webhook", address="https://example.com/")


def tell(key: str = "rotation 12 completed") -> None:
    Notice.objects.tell(NoticeEvent.ROTATION_COMPLETED, key=key, summary="Done.", data={"a": 1})


def test_a_change_is_told_once_to_each_channel() -> None:
    Channel.objects.create(name="letters", kind="mail", address="ann@example.com")

    for _ in range(3):
        tell()

    assert sorted(notice.channel.name for notice in Notice.objects.all()) == ["hook", "letters"]


def test_a_channel_is_told_what_it_wants(channel: Channel) -> None:
    channel.events = ["rotation-failed"]
    channel.save()
    tell()
    assert not Notice.objects.exists()

    channel.events, channel.enabled = ["rotation-completed"], False
    channel.save()
    tell()
    assert not Notice.objects.exists()


def test_what_is_taken_back_is_not_told() -> None:
    with transaction.atomic():
        tell()
        transaction.set_rollback(True)

    assert not Notice.objects.exists()


def test_a_new_channel_wants_all_but_tests(channel: Channel) -> None:
    assert set(channel.events) == {str(event) for event in NoticeEvent} - {"test"}


@pytest.mark.django_db(transaction=True)
def test_many_that_tell_at_once_tell_once() -> None:
    ready = threading.Barrier(5)

    def work() -> None:
        ready.wait()
        with transaction.atomic():
            tell()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Notice.objects.count() == 1


def test_a_key_is_encrypted_at_rest_and_different_for_each_channel(channel: Channel) -> None:
    other = Channel.objects.create(name="other", kind="webhook", address="https://example.com/")
    with connection.cursor() as cursor:
        cursor.execute("select key from streams_channel")
        stored = str(cursor.fetchall())

    assert channel.key != other.key
    assert channel.key not in stored
    assert "whsec_" not in stored
