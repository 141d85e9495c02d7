"""Downloads: one row for each, which always ends in the right state."""

import uuid
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# A running download whose process has not said so for this long has died with it.
LEASE = timedelta(seconds=30)


class State(models.TextChoices):
    """How a download stands, or ended."""

    RUNNING = "running", _("running")
    COMPLETE = "complete", _("complete")
    CUT = "cut", _("cut")
    CANCELLED = "cancelled", _("cancelled")
    INTERRUPTED = "interrupted", _("interrupted")
    FAILED = "failed", _("failed")


class Proof(models.TextChoices):
    """Why we say that a download is whole."""

    NONE = "none", _("not provable")
    LENGTH = "length", _("by length")
    FRAMING = "framing", _("by the end of the transfer")


class DownloadQuerySet(models.QuerySet["Download"]):
    def interrupt_abandoned(self, now: datetime | None = None) -> int:
        """Ends the rows whose process was killed; gives their number. May run at any time."""
        now = now or timezone.now()
        return self.filter(state=State.RUNNING, seen_at__lt=now - LEASE).update(
            state=State.INTERRUPTED,
            reason="process_ended",
            finished_at=models.F("seen_at"),
        )


class Download(models.Model):
    """One answer to one request for bytes, as the portal saw it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(
        "streams.Endpoint",
        models.SET_NULL,
        null=True,
        related_name="downloads",
        verbose_name=_("export"),
    )
    # Kept beside the references: the record outlives the endpoint and the account.
    slug = models.CharField(_("slug"), max_length=100)
    user = models.ForeignKey(
        "streams.User", models.SET_NULL, null=True, related_name="downloads", verbose_name=_("user")
    )
    username = models.CharField(_("user name"), max_length=150)
    token = models.ForeignKey("streams.ApiToken", models.SET_NULL, null=True, blank=True)
    filename = models.CharField(_("file name"), max_length=255, blank=True)
    state = models.CharField(
        _("state"), max_length=12, choices=State.choices, default=State.RUNNING
    )
    reason = models.CharField(_("reason"), max_length=50, blank=True)
    status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    first = models.BigIntegerField(_("first byte"), default=0)
    # Bytes of this answer's body; null while the origin does not tell.
    size = models.BigIntegerField(_("size"), null=True)
    total = models.BigIntegerField(_("size of the whole file"), null=True)
    sent = models.BigIntegerField(_("sent"), default=0)
    proof = models.CharField(_("proof"), max_length=10, choices=Proof.choices, default=Proof.NONE)
    # How often the origin was opened again for the rest, unseen by the client.
    resumes = models.PositiveSmallIntegerField(_("resumed"), default=0)
    resumable = models.BooleanField(_("resumable"), default=False)
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    first_byte_at = models.DateTimeField(_("first byte at"), null=True)
    seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished"), null=True)

    objects = DownloadQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at"]
        indexes = [
            models.Index(fields=["user", "endpoint", "-started_at"], name="download_by_user"),
            models.Index(fields=["seen_at"], condition=Q(state="running"), name="download_running"),
        ]
        constraints = [
            models.CheckConstraint(
                name="download_ends",
                condition=Q(state="running", finished_at__isnull=True)
                | (~Q(state="running") & Q(finished_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="download_complete_is_whole",
                condition=~Q(state="complete") | Q(size__isnull=True) | Q(sent=models.F("size")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.slug} {self.id}"
