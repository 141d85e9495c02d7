"""Channels and notices at /operate/: a key is shown once, and a GET sends nothing."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from django.contrib.admin.models import LogEntry
from django.core import serializers
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from portal.celery import app
from streams.access.addresses import address_policy
from streams.models import AuditEntry, Channel, Notice, NoticeState, User
from streams.models.notices import host_of
from streams.net.errors import AddressForbiddenError
from streams.tasks import advance_due
from tests.notices.receivers import Receiver

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "T0KEN" + "c" * 20
SECRET = f"https://hooks.example.com:8443/services/{TOKEN}?key={TOKEN}"
FORM = {
    "name": "pager",
    "kind": "webhook",
    "address": "https://example.com/hooks",
    "events": ["rotation-failed", "rotation-stuck"],
    "enabled": "on",
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def channel(receiver: Receiver) -> Channel:
    return Channel.objects.create(name="hook", kind="webhook", address=receiver.url)


@pytest.fixture
def _heard() -> Iterator[None]:
    """Messages reach a worker, which is this process."""
    made = Celery("tests", broker="memory://")
    made.conf.task_always_eager = made.conf.task_eager_propagates = True
    made.set_current()
    yield
    app.set_current()


def add(operator: Client, **fields: Any) -> Any:
    return operator.post(reverse("admin:streams_channel_add"), {**FORM, **fields})


def page(operator: Client, what: str, channel: Channel, **post: str) -> Any:
    address = f"/operate/streams/channel/{channel.pk}/{what}/"
    return operator.post(address, post) if post else operator.get(address)


def test_the_key_of_a_new_webhook_is_shown_once(operator: Client) -> None:
    answer = add(operator)

    channel = Channel.objects.get()
    assert channel.events == ["rotation-failed", "rotation-stuck"]
    assert channel.key in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert "whsec_" not in str(answer.cookies)
    change = operator.get(reverse("admin:streams_channel_change", args=[channel.pk]))
    assert channel.key not in change.content.decode()


def test_a_mail_channel_has_no_key_to_show(operator: Client) -> None:
    answer = add(operator, kind="mail", address="ann@example.com, ben@example.com")

    assert answer.status_code == 302
    assert Channel.objects.get().recipients() == ["ann@example.com", "ben@example.com"]


def stored() -> str:
    """The columns as a backup has them, Django's own history, and the audit log."""
    with connection.cursor() as cursor:
        cursor.execute("select address, sealed from streams_channel")
        columns = str(cursor.fetchall())
    rows = [*LogEntry.objects.all(), *AuditEntry.objects.all()]
    return columns + str(serializers.serialize("json", rows))


def changed(operator: Client, channel: Channel, **fields: Any) -> Any:
    form = reverse("admin:streams_channel_change", args=[channel.pk])
    return operator.post(form, {**FORM, "name": channel.name, **fields})


def test_of_a_webhook_only_the_host_is_stored_in_the_open_and_shown(operator: Client) -> None:
    add(operator, address=SECRET)

    channel = Channel.objects.get()
    assert (channel.destination, channel.address) == (SECRET, "hooks.example.com:8443/…")
    assert TOKEN not in stored()
    pages = [
        reverse("admin:streams_channel_changelist") + "?q=hooks.example.com",
        reverse("admin:streams_channel_change", args=[channel.pk]),
        reverse("admin:streams_channel_history", args=[channel.pk]),
        "/operate/search/?s=hooks.example.com",
    ]
    for path in pages:
        shown = operator.get(path).content.decode()
        assert TOKEN not in shown, path
        assert "hooks.example.com:8443/…" in shown or "history" in path or "search" in path
    assert "pager" in operator.get(pages[-1]).content.decode()


def test_an_address_that_is_left_as_it_is_shown_stays(operator: Client) -> None:
    add(operator, address=SECRET)
    channel = Channel.objects.get()

    kept = changed(operator, channel, name="other", address=channel.address)
    channel.refresh_from_db()
    assert (kept.status_code, channel.name, channel.destination) == (302, "other", SECRET)

    other = changed(operator, channel, address="https://example.com/other")
    channel.refresh_from_db()
    assert (other.status_code, channel.destination) == (302, "https://example.com/other")
    assert channel.address == "example.com/…"

    half = changed(operator, channel, address="example.com/…x")
    assert "that no URL may have" in half.content.decode()
    mail = changed(operator, channel, kind="mail", address="ann@example.com")
    channel.refresh_from_db()
    assert (mail.status_code, channel.address, channel.sealed) == (302, "ann@example.com", None)
    assert "/other" not in stored()


def test_what_an_older_version_has_stored_is_read_shown_in_part_and_sealed(
    operator: Client,
) -> None:
    channel = Channel.objects.create(name="hook", kind="webhook", address=SECRET)
    mail = Channel.objects.create(name="mail", kind="mail", address="ann@example.com")
    form = reverse("admin:streams_channel_change", args=[channel.pk])
    for path in (form, reverse("admin:streams_channel_changelist")):
        assert TOKEN not in operator.get(path).content.decode()
    changed(operator, channel, address="hooks.example.com:8443/…")
    channel.refresh_from_db()
    assert channel.destination == SECRET

    advance_due()

    channel.refresh_from_db()
    assert channel.destination == SECRET
    assert TOKEN not in stored()
    # That version is still there, and somebody enters another one with it.
    Channel.objects.filter(pk=channel.pk).update(address="https://example.com/newer")
    channel.refresh_from_db()
    assert channel.destination == "https://example.com/newer"
    advance_due()
    channel.refresh_from_db()
    assert (channel.destination, channel.address) == ("https://example.com/newer", "example.com/…")
    mail.refresh_from_db()
    assert (mail.address, mail.sealed) == ("ann@example.com", None)


def test_an_older_version_connects_to_nothing_by_what_is_left() -> None:
    with pytest.raises(AddressForbiddenError):
        address_policy().check_url(host_of(SECRET))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"address": "https://169.254.169.254/latest"}, "169.254.169.254"),
        ({"address": "ftp://example.com/"}, "must begin with https://"),
        ({"address": "https://ann:canary@example.com/"}, "no user name or password"),
        ({"kind": "mail", "address": "ann"}, "Mail address 1 is none."),
        ({"kind": "mail", "address": "ann@example.com, <b>"}, "Mail address 2 is none."),
        ({"kind": "mail", "address": " , "}, "Enter 1 to 10 mail addresses"),
        ({"kind": "mail", "address": ",".join(f"a{n}@b.example" for n in range(11))}, "1 to 10"),
        ({"events": []}, "required"),
        ({"events": ["test"]}, "not one of the available choices"),
    ],
)
def test_a_channel_that_could_not_work_is_refused(
    operator: Client, fields: dict[str, Any], sentence: str
) -> None:
    answer = add(operator, **fields)

    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert not Channel.objects.exists()


def test_a_new_key_replaces_the_old_one_and_is_shown_once(
    operator: Client, channel: Channel
) -> None:
    before = channel.key
    assert before not in page(operator, "key", channel).content.decode()
    channel.refresh_from_db()
    assert channel.key == before

    answer = page(operator, "key", channel, sure="yes")

    channel.refresh_from_db()
    assert channel.key != before
    assert channel.key in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    log = serializers.serialize("json", LogEntry.objects.all())
    assert "A new key was made." in log
    assert channel.key not in log


@pytest.mark.usefixtures("_heard")
def test_a_test_is_sent_by_a_post_alone(
    operator: Client, channel: Channel, receiver: Receiver
) -> None:
    page(operator, "test", channel)
    assert not receiver.posts

    answer = page(operator, "test", channel, sure="yes")

    assert len(receiver.posts) == 1
    assert b'"type":"test"' in receiver.posts[0].body
    assert Notice.objects.get().state == NoticeState.SENT
    assert answer["Location"].endswith(f"/notice/{Notice.objects.get().pk}/change/")


def test_a_test_through_a_channel_that_is_off_is_refused_in_words(
    operator: Client, channel: Channel
) -> None:
    Channel.objects.update(enabled=False)

    address = f"/operate/streams/channel/{channel.pk}/test/"
    answer = operator.post(address, {"sure": "yes"}, follow=True)

    assert "Enable the channel first" in answer.content.decode()
    assert not Notice.objects.exists()


@pytest.mark.parametrize("what", ["test", "key"])
def test_both_need_a_token_and_the_right_to_change(channel: Channel, what: str) -> None:
    key = channel.key
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("op"))
    assert page(strict, what, channel, sure="yes").status_code == 403

    reader = Client()
    reader.force_login(User.objects.create_user("new", is_staff=True))
    assert page(reader, what, channel, sure="yes").status_code == 403

    channel.refresh_from_db()
    assert channel.key == key
    assert not Notice.objects.exists()


@pytest.mark.usefixtures("_heard")
def test_what_was_given_up_is_tried_again(
    operator: Client, channel: Channel, receiver: Receiver
) -> None:
    lost, waiting = (Notice.objects.test(channel, by="op") for _ in range(2))
    Notice.objects.filter(pk=lost.pk).update(given_up_at=Now(), attempts=14, problem="It was down.")
    Notice.objects.filter(pk=waiting.pk).update(due_at=Now() + timedelta(hours=1), attempts=2)
    listed = operator.get(reverse("admin:streams_notice_changelist") + "?state=given-up")
    assert "It was down." in listed.content.decode()

    answer = operator.post(
        reverse("admin:streams_notice_changelist"),
        {"action": "try_again", "_selected_action": [str(lost.pk), str(waiting.pk)]},
        follow=True,
    )

    assert "1 notice is tried again." in answer.content.decode()
    lost.refresh_from_db()
    waiting.refresh_from_db()
    assert (lost.state, lost.attempts) == (NoticeState.SENT, 1)
    assert (waiting.state, waiting.attempts) == (NoticeState.WAITING, 2)


def test_a_notice_is_not_edited(operator: Client, channel: Channel) -> None:
    notice = Notice.objects.test(channel, by="op")
    address = reverse("admin:streams_notice_change", args=[notice.pk])

    operator.post(address, {"summary": "canary", "sent_at_0": "2026-01-01", "sent_at_1": "00:00"})

    notice.refresh_from_db()
    assert notice.summary == "This is a test of this channel."
    assert notice.state == NoticeState.WAITING


def test_a_channel_that_was_switched_off_says_why_until_it_is_enabled(
    operator: Client, channel: Channel
) -> None:
    Channel.objects.update(
        enabled=False, problem="It is gone.", address="https://example.com/", events=["drift-over"]
    )
    address = reverse("admin:streams_channel_change", args=[channel.pk])
    assert "It is gone." in operator.get(address).content.decode()

    answer = operator.post(address, {**FORM, "name": "hook"})

    assert answer.status_code == 302, answer.content.decode()
    channel.refresh_from_db()
    assert (channel.enabled, channel.problem) == (True, "")
