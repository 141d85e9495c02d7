"""Notices to a real receiver, which refuses, breaks off, sends elsewhere, or is gone."""

import base64
import hashlib
import hmac
import json
import logging
import socket
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django.fixtures import Settings

from streams.models import Channel, Notice, NoticeEvent, NoticeState
from streams.notices import engine, pace, webhook
from streams.notices.lease import claim
from tests.notices.receivers import Posted, Receiver


def told(key: str = "rotation 12 completed") -> Notice:
    """A notice to the one channel that there is."""
    Notice.objects.tell(
        NoticeEvent.ROTATION_COMPLETED,
        key=key,
        summary="The rotation of orders has completed.",
        data={"secret": "orders", "rotation_id": 12, "problem": None},
    )
    return Notice.objects.get(key=key)


def attempt(notice: Notice) -> Notice:
    """One attempt, whenever it would be due."""
    Notice.objects.filter(pk=notice.pk).update(due_at=Now())
    engine.send(notice.pk)
    notice.refresh_from_db()
    return notice


def wait_of(notice: Notice) -> float:
    """Seconds until its next attempt."""
    return (notice.due_at - timezone.now()).total_seconds()


def signature_of(post: Posted, key: str) -> str:
    """As the Standard Webhooks specification describes it, from what has come over the wire."""
    secret = base64.b64decode(key.split("_", 1)[1])
    parts = (post.headers["webhook-id"], post.headers["webhook-timestamp"], post.body.decode())
    digest = hmac.new(secret, ".".join(parts).encode(), hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def test_a_notice_is_delivered_once(hook: Channel, receiver: Receiver) -> None:
    notice = told()

    for _ in range(3):
        engine.send(notice.pk)

    (post,) = receiver.posts
    assert post.path == "/hooks?room=4"
    assert post.headers["content-type"] == "application/json"
    assert post.headers["webhook-id"] == str(notice.pk)
    notice.refresh_from_db()
    assert (notice.state, notice.attempts, notice.problem) == (NoticeState.SENT, 1, "")


def test_its_body_says_what_happened(hook: Channel, receiver: Receiver, settings: Settings) -> None:
    settings.BASE_URL = "https://exports.example.com"
    notice = attempt(told())

    assert json.loads(receiver.posts[0].body) == {
        "type": "rotation-completed",
        "timestamp": notice.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "summary": "The rotation of orders has completed.",
            "secret": "orders",
            "rotation_id": 12,
            "problem": None,
            "link": "https://exports.example.com/operate/streams/rotation/12/change/",
        },
    }


def test_the_signature_is_that_of_the_specification(hook: Channel, receiver: Receiver) -> None:
    attempt(told())

    (post,) = receiver.posts
    assert post.headers["webhook-signature"] == signature_of(post, hook.key)
    assert abs(int(post.headers["webhook-timestamp"]) - time.time()) < 10
    assert len(base64.b64decode(hook.key.removeprefix("whsec_"))) == 32


def test_the_specifications_own_example() -> None:
    """From the test vectors of the Standard Webhooks libraries."""
    signed = webhook.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )

    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_what_is_refused_is_tried_again_under_the_same_id(
    hook: Channel, receiver: Receiver, status: int
) -> None:
    receiver.answers = [(status, {})]

    notice = attempt(told())
    assert (notice.state, notice.attempts) == (NoticeState.WAITING, 1)
    assert notice.problem == f"The receiver answered with status {status}."
    assert 20 < wait_of(notice) < 40
    attempt(notice)

    assert notice.state == NoticeState.SENT
    assert [post.headers["webhook-id"] for post in receiver.posts] == [str(notice.pk)] * 2
    assert receiver.posts[0].body == receiver.posts[1].body


def test_nothing_is_sent_before_it_is_due(hook: Channel, receiver: Receiver) -> None:
    receiver.answers = [(500, {})]
    notice = attempt(told())

    engine.send(notice.pk)

    assert len(receiver.posts) == 1


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("900", 890, 910), ("1", 20, 40), ("99999999", 3590, 3610), ("soon", 20, 40)],
)
def test_the_receiver_may_say_when_to_come_back(
    hook: Channel, receiver: Receiver, header: str, least: int, most: int
) -> None:
    receiver.answers = [(429, {"Retry-After": header})]

    notice = attempt(told())

    assert least < wait_of(notice) < most


def test_after_about_a_day_it_is_given_up_and_can_be_tried_again(
    hook: Channel, receiver: Receiver
) -> None:
    receiver.answers = [(500, {})] * pace.ATTEMPTS
    notice, waited = told(), 0.0

    while attempt(notice).state == NoticeState.WAITING:
        waited += wait_of(notice)

    assert notice.state == NoticeState.GIVEN_UP
    assert timedelta(hours=19) < timedelta(seconds=waited) < timedelta(hours=29)
    assert notice.problem == "The receiver answered with status 500."
    attempt(notice)
    assert len(receiver.posts) == pace.ATTEMPTS

    assert Notice.objects.try_again() == 1
    assert attempt(notice).state == NoticeState.SENT


def test_a_receiver_that_is_not_there_is_tried_again(db: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    Channel.objects.create(name="hook", kind="webhook", address=address)

    notice = attempt(told())

    assert notice.state == NoticeState.WAITING
    assert notice.problem == "The receiver could not be reached."


def test_a_receiver_that_says_nothing_is_given_up_in_time(
    hook: Channel, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = threading.Event()
    receiver.before = lambda: leave.wait(10)
    monkeypatch.setattr(webhook, "PATIENCE", 0.3)
    begun = time.monotonic()

    notice = attempt(told())
    leave.set()

    assert time.monotonic() - begun < 5
    assert notice.problem == "The receiver did not answer in time."


def test_one_that_answers_gone_is_switched_off(hook: Channel, receiver: Receiver) -> None:
    receiver.answers = [(410, {})]
    first, second = told("first"), told("second")

    attempt(first)
    attempt(second)

    hook.refresh_from_db()
    assert not hook.enabled
    assert "410 Gone" in hook.problem
    assert first.state == second.state == NoticeState.GIVEN_UP
    assert second.problem == "The channel is switched off."
    assert len(receiver.posts) == 1
    Notice.objects.tell(NoticeEvent.ROTATION_FAILED, key="later", summary="x", data={})
    assert not Notice.objects.filter(key="later").exists()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(hook: Channel, receiver: Receiver, status: int) -> None:
    elsewhere = Receiver()
    receiver.answers = [(status, {"Location": elsewhere.url})]

    notice = attempt(told())
    elsewhere.close()

    assert not elsewhere.posts
    assert f"status {status}. Redirects are not followed" in notice.problem


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost:{port}/",
        "http://127.0.0.1:{port}/",
        "https://169.254.169.254/latest/",
        "http://2130706433:{port}/",
    ],
)
def test_a_private_address_is_refused_at_the_connection(
    hook: Channel, receiver: Receiver, settings: Settings, address: str
) -> None:
    settings.PRIVATE_ORIGINS = []
    Channel.objects.update(address=address.format(port=receiver.url.split(":")[2].split("/")[0]))

    notice = attempt(told())

    assert not receiver.posts
    assert notice.state == NoticeState.WAITING
    assert "address" in notice.problem


def test_a_worker_killed_before_it_records_leaves_a_duplicate_with_the_same_id(
    hook: Channel, receiver: Receiver
) -> None:
    notice = told()
    lease = claim(notice.pk)
    assert lease is not None
    webhook.send(lease.notice)
    # Killed here.
    engine.send(notice.pk)
    assert len(receiver.posts) == 1

    Notice.objects.update(lease_until=Now() - timedelta(seconds=1))
    engine.send(notice.pk)

    assert [post.headers["webhook-id"] for post in receiver.posts] == [str(notice.pk)] * 2
    notice.refresh_from_db()
    assert notice.state == NoticeState.SENT


def test_a_worker_that_was_taken_for_dead_records_nothing(hook: Channel) -> None:
    notice = told()
    first = claim(notice.pk)
    Notice.objects.update(lease_until=Now() - timedelta(seconds=1))
    second = claim(notice.pk)
    assert first is not None
    assert second is not None

    assert not first.end(given_up_at=Now(), problem="late")

    notice.refresh_from_db()
    assert notice.state == NoticeState.WAITING
    assert notice.lease_until is not None
    assert second.end(sent_at=Now())


def test_one_that_kills_its_workers_is_given_up(hook: Channel, receiver: Receiver) -> None:
    notice = told()
    for _ in range(pace.ATTEMPTS):
        assert claim(notice.pk)
        Notice.objects.update(lease_until=Now() - timedelta(seconds=1))

    engine.send(notice.pk)

    notice.refresh_from_db()
    assert notice.state == NoticeState.GIVEN_UP
    assert "interrupted" in notice.problem
    assert not receiver.posts


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_send_one(hook: Channel, receiver: Receiver) -> None:
    receiver.before = lambda: time.sleep(0.2)
    notice, ready = told(), threading.Barrier(5)

    def work() -> None:
        ready.wait()
        engine.send(notice.pk)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(receiver.posts) == 1
    notice.refresh_from_db()
    assert (notice.state, notice.attempts) == (NoticeState.SENT, 1)


def test_a_channel_that_is_deleted_takes_its_notices_along(
    hook: Channel, receiver: Receiver
) -> None:
    notice = told()
    hook.delete()

    engine.send(notice.pk)

    assert not receiver.posts


def test_logs_hold_no_key_no_address_and_nothing_that_was_answered(
    hook: Channel, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [(500, {})]
    caplog.set_level(logging.DEBUG)

    notice = attempt(told())
    attempt(notice)

    logged = str([vars(record) for record in caplog.records])
    assert "notice_postponed" in logged
    assert "notice_sent" in logged
    for hidden in (hook.key, hook.key[10:30], "room=4", "canary-of-the-receiver"):
        assert hidden not in logged
        assert hidden not in notice.problem


def test_a_key_that_cannot_be_decrypted_leaves_the_notice_waiting(
    hook: Channel, receiver: Receiver, settings: Settings
) -> None:
    notice = told()
    keys = settings.ENCRYPTION_KEYS
    settings.ENCRYPTION_KEYS = [base64.urlsafe_b64encode(b"x" * 32).decode()]
    for _ in range(20):
        attempt(notice)
    assert not receiver.posts
    assert "SPILLWAY_ENCRYPTION_KEYS" in notice.problem
    assert wait_of(notice) == pytest.approx(engine.KEYLESS, abs=5)

    settings.ENCRYPTION_KEYS = keys
    attempt(notice)

    assert len(receiver.posts) == 1
    assert (notice.state, notice.attempts) == (NoticeState.SENT, 1)
