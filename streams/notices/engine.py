"""Delivers one notice: claims it, sends it, records what became of it.

It is delivered at least once. A worker that is killed between sending and recording leaves a lease
that runs out, and the next one sends the same again, under the same id: receivers know it by that.
"""

import logging
import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from streams.models import Channel, Notice
from streams.models.fields import UndecryptableError
from streams.notices import mail, pace, webhook
from streams.notices.lease import Lease, claim
from streams.notices.problems import DeliveryError, GoneError

logger = logging.getLogger(__name__)

# Seconds until it is looked again for the key of a webhook.
KEYLESS = 300.0

_SENDERS = {Channel.Kind.MAIL: mail.send, Channel.Kind.WEBHOOK: webhook.send}


def send(pk: uuid.UUID) -> None:
    """Makes one attempt, if this notice is due and nobody else makes it."""
    lease = claim(pk)
    if lease is None:
        return
    if refusal := _refusal(lease.notice):
        _give_up(lease, refusal)
        return
    try:
        remark = _SENDERS[Channel.Kind(lease.notice.channel.kind)](lease.notice)
    except GoneError as exc:
        _switch_off(lease, str(exc))
    except DeliveryError as exc:
        _postpone(lease, exc)
    except UndecryptableError as exc:
        _wait_for_key(lease, str(exc))
    else:
        _log("notice_sent", lease, kept=lease.end(sent_at=Now(), problem=remark))


def _refusal(notice: Notice) -> str:
    """Why no attempt is made, empty where one is."""
    if not notice.channel.enabled:
        return "The channel is switched off."
    if notice.attempts > pace.ATTEMPTS:
        return "Each attempt was interrupted. Look at the log of the workers."
    return ""


def _postpone(lease: Lease, exc: DeliveryError) -> None:
    pause = pace.pause(lease.notice.attempts, exc.retry_after)
    if pause is None:
        _give_up(lease, str(exc))
        return
    kept = lease.end(due_at=Now() + timedelta(seconds=pause), problem=str(exc))
    _log("notice_postponed", lease, kept=kept, reason=str(exc))


def _wait_for_key(lease: Lease, problem: str) -> None:
    # No attempt was made: it counts for none, however long the key is missing.
    attempts = lease.notice.attempts - 1
    due_at = Now() + timedelta(seconds=KEYLESS)
    kept = lease.end(due_at=due_at, attempts=attempts, problem=problem)
    _log("notice_unreadable", lease, kept=kept, reason=problem)


def _give_up(lease: Lease, problem: str) -> None:
    kept = lease.end(given_up_at=Now(), problem=problem)
    _log("notice_given_up", lease, kept=kept, reason=problem)


@transaction.atomic
def _switch_off(lease: Lease, problem: str) -> None:
    _give_up(lease, problem)
    Channel.objects.filter(pk=lease.notice.channel_id).update(enabled=False, problem=problem)


def _log(event: str, lease: Lease, *, kept: bool, **fields: str) -> None:
    notice = lease.notice
    about = {"notice": str(notice.pk), "channel": notice.channel_id, "about": notice.event}
    level = logging.INFO if event == "notice_sent" else logging.WARNING
    # Not `kept`: it took so long that another worker has taken over, and sends it once more.
    logger.log(level, event, extra=about | {"attempt": notice.attempts, "kept": kept} | fields)
