"""Notices through a real mail server, which refuses, falls silent, or is not there."""

import socket
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from streams.models import Channel, Notice, NoticeEvent, NoticeState
from streams.notices import engine, mail
from tests.notices.receivers import MailServer
from tests.notices.test_webhook import attempt, told


def test_one_mail_goes_to_all_recipients(
    letters: Channel, mail_server: MailServer, settings: Settings
) -> None:
    settings.BASE_URL = "https://exports.example.com"
    notice = told()

    for _ in range(2):
        engine.send(notice.pk)

    (mailed,) = mail_server.mails
    assert mailed.sender == "spillway@example.com"
    assert mailed.recipients == ["ann@example.com", "ben@example.com"]
    assert mailed.message["Subject"] == "Spillway: The rotation of orders has completed."
    assert mailed.message["To"] == "ann@example.com, ben@example.com"
    assert mailed.message["Auto-Submitted"] == "auto-generated"
    assert mailed.message.get_content_type() == "text/plain"
    assert mailed.message.get_content().replace("\r\n", "\n").strip() == (
        "The rotation of orders has completed.\n\n"
        "Secret: orders\n"
        "Rotation id: 12\n\n"
        "https://exports.example.com/operate/streams/rotation/12/change/"
    )
    notice.refresh_from_db()
    assert (notice.state, notice.problem) == (NoticeState.SENT, "")


def test_a_duplicate_is_known_by_its_message_id(letters: Channel, mail_server: MailServer) -> None:
    notice = attempt(told())
    Notice.objects.update(sent_at=None, lease_until=Now() - timedelta(seconds=1))

    attempt(notice)

    ids = [mailed.message["Message-ID"] for mailed in mail_server.mails]
    assert ids == [f"<{notice.pk}@example.com>"] * 2


def test_a_summary_cannot_add_a_header(letters: Channel, mail_server: MailServer) -> None:
    Notice.objects.tell(
        NoticeEvent.DRIFT_FOUND, key="x", summary="orders\r\nBcc: eve@example.com", data={}
    )

    attempt(Notice.objects.get())

    (mailed,) = mail_server.mails
    assert mailed.message["Bcc"] is None
    assert mailed.message["Subject"] == "Spillway: orders Bcc: eve@example.com"


def test_letters_of_every_alphabet_arrive(letters: Channel, mail_server: MailServer) -> None:
    Notice.objects.tell(
        NoticeEvent.DRIFT_FOUND, key="x", summary="Заказы über 東京", data={"secret": "Заказы"}
    )

    attempt(Notice.objects.get())

    (mailed,) = mail_server.mails
    assert mailed.message["Subject"] == "Spillway: Заказы über 東京"
    assert "Secret: Заказы" in mailed.message.get_content()


def test_recipients_that_are_refused_beside_others_are_named(
    letters: Channel, mail_server: MailServer
) -> None:
    mail_server.replies["RCPT TO:<ben@example.com>"] = "550 canary"

    notice = attempt(told())

    assert mail_server.mails[0].recipients == ["ann@example.com"]
    assert notice.state == NoticeState.SENT
    assert notice.problem == "The mail server did not take ben@example.com."


@pytest.mark.parametrize(
    ("command", "reply", "sentence"),
    [
        ("RCPT", "550 canary", "The mail server took none of the recipients."),
        ("MAIL", "550 canary", "The mail server refused the sender (code 550)."),
        ("DATA", "451 canary", "The mail server refused the mail (code 451)."),
        (".", "554 canary", "The mail server refused the mail (code 554)."),
        ("EHLO", "421 canary", "The mail server refused the connection (code 421)."),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_our_words_and_tried_again(
    letters: Channel, mail_server: MailServer, command: str, reply: str, sentence: str
) -> None:
    mail_server.replies = {command: reply, "HELO": reply} if command == "EHLO" else {command: reply}

    notice = attempt(told())
    assert (notice.state, notice.problem) == (NoticeState.WAITING, sentence)
    mail_server.replies.clear()
    attempt(notice)

    assert notice.state == NoticeState.SENT
    assert len(mail_server.mails) == 1


def test_a_mail_that_was_taken_is_not_sent_again_for_a_bad_farewell(
    letters: Channel, mail_server: MailServer
) -> None:
    mail_server.replies["QUIT"] = "500 canary"

    assert attempt(told()).state == NoticeState.SENT


def test_a_server_that_says_nothing_is_given_up_in_time(
    letters: Channel, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail_server.silent = True
    monkeypatch.setattr(mail, "PATIENCE", 0.3)

    assert attempt(told()).problem == (
        "The mail server ended the connection, or did not answer in time."
    )


def test_a_server_that_is_not_there_is_tried_again(letters: Channel, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings.EMAIL_PORT = taken.getsockname()[1]

    notice = attempt(told())

    assert notice.state == NoticeState.WAITING
    assert notice.problem == "The mail server could not be reached."


def test_a_password_goes_over_tls_only(
    letters: Channel, mail_server: MailServer, settings: Settings
) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "ann", "canary"
    settings.EMAIL_USE_TLS = True

    notice = attempt(told())

    assert notice.problem == "The mail server cannot do what SPILLWAY_EMAIL_URL asks for."
    assert not mail_server.mails


def test_without_a_mail_server_the_channel_says_so(letters: Channel, settings: Settings) -> None:
    settings.EMAIL_HOST = ""

    assert "Set SPILLWAY_EMAIL_URL" in attempt(told()).problem
