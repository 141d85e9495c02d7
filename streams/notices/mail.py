"""Notices by e-mail, through the operator's mail server."""

import contextlib
import smtplib
import ssl
from email.utils import format_datetime

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import sanitize_address
from django.utils.encoding import punycode

from streams.models import Notice
from streams.notices.problems import DeliveryError
from streams.notices.wording import as_text

# Seconds for each answer of the server. It gives some eight, and one more for each recipient:
# together less than the lease of `notices.lease`.
PATIENCE = 10.0


def send(notice: Notice) -> str:
    """Hands one mail for all recipients to the server.

    Names those it did not take beside others that it took. Raises `DeliveryError`.
    """
    refused = deliver(_message(notice))
    return f"The mail server did not take {', '.join(refused)}." if refused else ""


def deliver(message: EmailMessage) -> list[str]:
    """Hands `message` to the server; which of its recipients that did not take.

    Raises `DeliveryError`, also where it took none.
    """
    if not settings.EMAIL_HOST:
        raise DeliveryError(
            "No mail server is set. Set SPILLWAY_EMAIL_URL and SPILLWAY_EMAIL_FROM, and restart."
        )
    backend = EmailBackend(timeout=PATIENCE)
    try:
        backend.open()
        server = backend.connection
        assert server is not None
        # Not `send_messages`, which says nothing of recipients that are refused beside others.
        refused = server.sendmail(
            sanitize_address(message.from_email, "utf-8"),
            [sanitize_address(recipient, "utf-8") for recipient in message.to],
            message.message().as_bytes(linesep="\r\n"),  # type: ignore[call-arg]  # Django's own
        )
    except (smtplib.SMTPException, OSError, ValueError) as exc:
        raise DeliveryError(_sentence(exc)) from exc
    finally:
        # The mail is there or not by now, whatever becomes of the farewell.
        with contextlib.suppress(smtplib.SMTPException, OSError):
            backend.close()
    return sorted(refused)


def _message(notice: Notice) -> EmailMessage:
    domain = punycode(settings.DEFAULT_FROM_EMAIL.rpartition("@")[2])
    return EmailMessage(
        f"Spillway: {notice.summary}",
        as_text(notice),
        to=notice.channel.recipients(),
        headers={
            # A second copy, after a worker was killed, is known by these.
            "Message-ID": f"<{notice.pk}@{domain}>",
            "Date": format_datetime(notice.created_at),
            # No answer of an absent reader's machine is wanted (RFC 3834).
            "Auto-Submitted": "auto-generated",
        },
    )


def _sentence(exc: Exception) -> str:
    """What went wrong, without the server's own words."""
    code = getattr(exc, "smtp_code", None)
    told = f" (code {code})" if isinstance(code, int) else ""
    for kind, sentence in _SENTENCES.items():
        if isinstance(exc, kind):
            return f"{sentence}{told}."
    return f"The mail could not be sent{told}."


_SENTENCES: dict[type[Exception], str] = {
    smtplib.SMTPAuthenticationError: "The mail server refused the user or the password",
    smtplib.SMTPRecipientsRefused: "The mail server took none of the recipients",
    smtplib.SMTPSenderRefused: "The mail server refused the sender",
    smtplib.SMTPDataError: "The mail server refused the mail",
    smtplib.SMTPNotSupportedError: "The mail server cannot do what SPILLWAY_EMAIL_URL asks for",
    smtplib.SMTPServerDisconnected: (
        "The mail server ended the connection, or did not answer in time"
    ),
    smtplib.SMTPResponseException: "The mail server refused the connection",
    smtplib.SMTPException: "The mail server did not answer as it should",
    ssl.SSLCertVerificationError: "The mail server's certificate is not one that is trusted",
    ssl.SSLError: "The mail server and this portal found no common TLS",
    TimeoutError: "The mail server did not answer in time",
    OSError: "The mail server could not be reached",
}
