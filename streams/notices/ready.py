"""Tells end users by mail that an export is ready again which they found failing."""

import logging

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from streams.models import Checkup, Endpoint, Health, ReadyRequest, User
from streams.models.health import health_by
from streams.notices import mail
from streams.notices.problems import DeliveryError

logger = logging.getLogger(__name__)


def can_tell(user: User) -> bool:
    """Whether there is a mail server, and an address."""
    return bool(settings.EMAIL_HOST and user.email)


def ask(user: User, endpoint: Endpoint) -> None:
    """Has this user told once. Asked twice, they are told once."""
    ReadyRequest.objects.get_or_create(user=user, endpoint=endpoint)


def will_tell(user: User, endpoint: Endpoint) -> bool:
    """Whether this user has asked."""
    return ReadyRequest.objects.filter(user=user, endpoint=endpoint).exists()


def is_failing(endpoint: Endpoint) -> bool:
    """By the doctor's last run, as long as that counts."""
    now = Checkup.objects.filter(endpoint=endpoint).annotate(now=health_by())
    return now.filter(now=Health.FAILING).exists()


def tell(pk: int) -> None:
    """Sends one mail, if it is due and nobody else does.

    A worker that is killed between sending and recording sends it again a quarter of an hour later.
    """
    wanted = ReadyRequest.objects.due().select_related("user", "endpoint").filter(pk=pk).first()
    if wanted is None or not ReadyRequest.objects.claim(pk):
        return
    visible = Endpoint.objects.visible_to(wanted.user).filter(pk=wanted.endpoint_id)
    if visible.exists() and can_tell(wanted.user):
        try:
            mail.deliver(_message(wanted))
        except DeliveryError as exc:
            logger.warning("ready_not_told", extra={"request": pk, "reason": str(exc)})
            return
    wanted.delete()


def _message(wanted: ReadyRequest) -> EmailMessage:
    # Which language its reader last had is kept nowhere.
    with translation.override(settings.LANGUAGE_CODE):
        return _written(wanted)


def _written(wanted: ReadyRequest) -> EmailMessage:
    title = " ".join(wanted.endpoint.title.split())
    address = reverse("export", args=[wanted.endpoint.slug])
    lines = [_("%s can be downloaded again.") % title, _("You asked to be told once.")]
    if settings.BASE_URL:
        lines.append(settings.BASE_URL + address)
    return EmailMessage(
        f"Spillway: {lines[0]}",
        "\n\n".join(lines) + "\n",
        to=[wanted.user.email],
        headers={"Auto-Submitted": "auto-generated"},
    )
