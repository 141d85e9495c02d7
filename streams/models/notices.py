"""Notices: who is told of what, and each message with what became of it."""

import base64
import secrets
import uuid
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from streams.models.fields import EncryptedField


class NoticeEvent(models.TextChoices):
    """What a channel may be told."""

    ROTATION_COMPLETED = "rotation-completed", _("a rotation completed")
    ROTATION_FAILED = "rotation-failed", _("a rotation failed")
    ROTATION_ROLLED_BACK = "rotation-rolled-back", _("a rotation was rolled back")
    ROTATION_STUCK = "rotation-stuck", _("a rotation needs help")
    ROTATION_OVERDUE = "rotation-overdue", _("a rotation is overdue")
    DRIFT_FOUND = "drift-found", _("something was changed behind the portal's back")
    DRIFT_OVER = "drift-over", _("what was changed is as it was")
    DOCTOR_FAILING = "doctor-failing", _("the doctor finds an endpoint or the portal failing")
    DOCTOR_OVER = "doctor-over", _("what was failing no longer is")
    CUTS_OFTEN = "cuts-often", _("downloads of an export are often cut")
    CUTS_OVER = "cuts-over", _("they no longer are")
    # Asked for by an operator for one channel, which need not want it.
    TEST = "test", _("a test")


def all_events() -> list[str]:
    """What a channel may want."""
    return [str(event) for event in NoticeEvent if event != NoticeEvent.TEST]


def new_key() -> str:
    """A key to sign with: 32 random bytes, in the form of the Standard Webhooks specification."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def host_of(address: str) -> str:
    """What may be shown of a URL, and is none: older versions connect to nothing by it."""
    return f"{urlsplit(address).netloc}/…" if "://" in address else address


class ChannelQuerySet(models.QuerySet["Channel"]):
    def readable(self) -> Self:
        """Without what is encrypted: for whoever sends nothing."""
        return self.defer("key", "sealed")

    def seal(self) -> None:
        """Encrypts the URLs that an older version has stored as they are."""
        for channel in self.readable().filter(kind=Channel.Kind.WEBHOOK, address__contains="://"):
            # Not one that somebody has entered meanwhile.
            same = self.filter(pk=channel.pk, address=channel.address)
            channel.lead_to(channel.address)
            same.update(address=channel.address, sealed=channel.sealed)


class Channel(models.Model):
    """Where notices go. The key signs what a webhook gets, and is shown when it is made only.

    A webhook's URL often is all that one needs to post to it: `address` has its host for people to
    read, and `sealed` the whole of it. `lead_to` sets both.
    """

    class Kind(models.TextChoices):
        MAIL = "mail", _("e-mail")
        WEBHOOK = "webhook", _("webhook")

    name = models.CharField(_("name"), max_length=100, unique=True)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    address = models.TextField(
        _("address"),
        help_text=_("Mail addresses separated by commas, or the webhook's URL."),
    )
    # None for mail; such fields are typed for columns that are always filled.
    sealed: "models.Field[str | None, str | None]" = EncryptedField(  # type: ignore[misc, assignment]
        null=True, editable=False
    )
    key = EncryptedField(default=new_key, editable=False)
    events = models.JSONField(_("is told when"), default=all_events)
    enabled = models.BooleanField(_("enabled"), default=True)
    # Why the portal itself switched it off.
    problem = models.TextField(_("problem"), blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = ChannelQuerySet.as_manager()

    class Meta:
        verbose_name = _("channel")
        verbose_name_plural = _("channels")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="channel_has_address",
                condition=~Q(address=""),
                violation_error_message=_("A channel needs an address."),
            )
        ]

    def __str__(self) -> str:
        return self.name

    def lead_to(self, address: str) -> None:
        """Has notices go there from now on; to be saved."""
        is_secret = self.kind == self.Kind.WEBHOOK
        self.address = host_of(address) if is_secret else address
        self.sealed = address if is_secret else None

    @property
    def destination(self) -> str:
        """The webhook's URL. Raises `UndecryptableError`."""
        # Whole where an older version has written it, which knows no other place.
        return self.address if self.sealed is None or "://" in self.address else self.sealed

    def recipients(self) -> list[str]:
        """The mail addresses, each once."""
        found = (part.strip() for part in self.address.replace("\n", ",").split(","))
        return list(dict.fromkeys(filter(None, found)))


class NoticeState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    SENT = "sent", _("sent")
    GIVEN_UP = "given-up", _("given up")


class NoticeQuerySet(models.QuerySet["Notice"]):
    def open(self) -> "NoticeQuerySet":
        """Neither sent nor given up."""
        return self.filter(sent_at__isnull=True, given_up_at__isnull=True)

    def in_state(self, state: NoticeState) -> "NoticeQuerySet":
        if state == NoticeState.WAITING:
            return self.open()
        column = "sent_at" if state == NoticeState.SENT else "given_up_at"
        return self.filter(**{f"{column}__isnull": False})

    def due(self) -> "NoticeQuerySet":
        """Open ones that nobody sends and whose time has come, by the database's clock."""
        free = Q(lease_until__isnull=True) | Q(lease_until__lte=Now())
        return self.open().filter(free, due_at__lte=Now())

    def tell(
        self, event: NoticeEvent, *, key: str, summary: str, data: Mapping[str, object]
    ) -> None:
        """Makes a notice for each enabled channel that wants `event`; they go out by themselves.

        Call it in the transaction that makes the change, so that there is neither without the
        other. `key` names the change: told again under the same one, nothing is sent again.
        `summary` is one sentence, `data` what else a reader or a program needs, as JSON: never a
        secret value.
        """
        channels = Channel.objects.readable().filter(enabled=True)
        self.bulk_create(
            [
                Notice(channel=channel, event=event, key=key, **_told(summary, data))
                for channel in channels
                if event in channel.events
            ],
            ignore_conflicts=True,
        )

    def test(self, channel: Channel, *, by: str) -> "Notice":
        """A test for this channel alone."""
        told = _told("This is a test of this channel.", {"requested_by": by})
        return self.create(
            channel=channel, event=NoticeEvent.TEST, key=f"test {uuid.uuid4()}", **told
        )

    def try_again(self) -> int:
        """Has those that were given up tried from the beginning; how many."""
        return self.filter(given_up_at__isnull=False).update(
            given_up_at=None, attempts=0, due_at=Now(), lease_until=None
        )


def _told(summary: str, data: Mapping[str, object]) -> dict[str, object]:
    # One line: it becomes the subject of a mail.
    line = " ".join(summary.split())
    return {"summary": line, "data": dict(data)}


class Notice(models.Model):
    """One message to one channel."""

    # What a webhook gets as `webhook-id`, and a mail in its Message-ID: the same at each attempt.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    channel = models.ForeignKey(
        Channel, models.CASCADE, related_name="notices", verbose_name=_("channel")
    )
    event = models.CharField(_("about"), max_length=30, choices=NoticeEvent.choices)
    key = models.CharField(max_length=200, editable=False)
    summary = models.TextField(_("what"))
    data = models.JSONField(_("details"), default=dict)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    due_at = models.DateTimeField(_("next attempt"), db_default=Now())
    lease_until = models.DateTimeField(null=True, editable=False)
    # Raised by each worker that takes over: a write with an older one does not count.
    token = models.PositiveIntegerField(default=0, editable=False)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    sent_at = models.DateTimeField(_("sent"), null=True)
    given_up_at = models.DateTimeField(_("given up"), null=True)
    problem = models.TextField(_("problem"), blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=Q(sent_at__isnull=True, given_up_at__isnull=True),
                name="notice_due",
            ),
            models.Index(fields=["-created_at", "-id"], name="notice_newest"),
            models.Index(
                fields=["given_up_at"],
                condition=Q(given_up_at__isnull=False),
                name="notice_given_up",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["channel", "key"], name="notice_once"),
            models.CheckConstraint(
                name="notice_ends_once",
                condition=Q(sent_at__isnull=True) | Q(given_up_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.summary

    @property
    def state(self) -> NoticeState:
        if self.sent_at:
            return NoticeState.SENT
        return NoticeState.GIVEN_UP if self.given_up_at else NoticeState.WAITING
