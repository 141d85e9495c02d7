"""Downloads: one row for each, which always ends in the right state."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from django.contrib.auth.models import AnonymousUser
from django.db import connections, models
from django.db.models import Case, F, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from streams.models.access import User
from streams.models.audit import Source
from streams.models.endpoints import Endpoint

# A running download whose process has not said so for this long has died with it.
LEASE = timedelta(seconds=30)


class State(models.TextChoices):
    """How a download stands, or ended."""

    RUNNING = "running", _("running")
    COMPLETE = "complete", _("complete")
    CUT = "cut", _("cut")
    CORRUPT = "corrupt", _("corrupt")
    CANCELLED = "cancelled", _("cancelled")
    INTERRUPTED = "interrupted", _("interrupted")
    FAILED = "failed", _("failed")
    # What S3 then sent is not known here.
    REDIRECTED = "redirected", _("handed over to S3")


class Proof(models.TextChoices):
    """Why we say that a download is whole."""

    NONE = "none", _("not provable")
    LENGTH = "length", _("by length")
    # Compared with what the origin announced. The names are those of `wire.checksums`.
    SHA256 = "sha256", _("proven by SHA-256")
    SHA1 = "sha1", _("proven by SHA-1")
    CRC64NVME = "crc64nvme", _("proven by CRC-64")
    CRC32C = "crc32c", _("proven by CRC-32C")
    CRC32 = "crc32", _("proven by CRC-32")
    SOURCE = "source", _("by the source's own end mark")
    # By the form of the file itself. The names are those of `wire.containers`.
    GZIP = "gzip", _("by the gzip file's own checksum")
    ZIP = "zip", _("by the zip file's end record")
    PARQUET = "parquet", _("by the Parquet file's end")
    LINE = "line", _("not provable, but the last line is whole")


# Exports that are kept from somebody, up to which they are named one by one.
CLOSED = 500


class DownloadQuerySet(models.QuerySet["Download"]):
    def operable_by(self, user: User | AnonymousUser) -> Self:
        """Those of endpoints that staff like this user may look at, and of those that are gone."""
        if not (user.is_active and user.is_staff):
            return self.none()
        closed = Endpoint.objects.closed_to(user).values_list("pk", flat=True)
        # Asked for by itself: the list of all downloads is long, and most staff see all of it.
        # Their numbers, while they are few: PostgreSQL would look them up for each download.
        few = list(closed[: CLOSED + 1])
        return self.exclude(endpoint__in=few if len(few) <= CLOSED else closed) if few else self

    def whole(self) -> Self:
        """Those that sent a file from its first byte to its last: no part, no "not modified"."""
        whole = self.filter(state=State.COMPLETE, first=0)
        return whole.filter(~Q(status=304), ~Q(status=206) | Q(sent=F("total")))

    def abandoned(self, now: datetime | None = None) -> Self:
        """Those whose process was killed, and that still say that they run."""
        now = now or timezone.now()
        return self.filter(state=State.RUNNING, seen_at__lt=now - LEASE)

    def running(self) -> Self:
        """Those under way in a process that lives."""
        return self.filter(state=State.RUNNING, seen_at__gte=timezone.now() - LEASE)

    def stopping(self) -> Self:
        """Those that somebody wants to end, and that have not yet."""
        return self.filter(state=State.RUNNING, stop_asked_at__isnull=False)

    def peak(self, since: datetime) -> tuple[int, datetime] | None:
        """How many ran at once at most since then, and when that was first.

        One that has run for more than a day by then is left out, so that few rows are read.
        """
        recent = self.filter(started_at__gte=since - timedelta(days=1)).order_by()
        ended = recent.filter(finished_at__gte=since)
        begun = (ended | recent.filter(finished_at__isnull=True)).annotate(
            at=Case(When(started_at__lt=since, then=Value(since)), default=F("started_at")),
            step=Value(1),
        )
        changes = begun.values_list("at", "step").union(
            ended.values_list("finished_at", Value(-1)), all=True
        )
        inner, values = changes.query.sql_with_params()
        # Those that end at a moment are gone before others begin at it.
        statement = (
            f"SELECT at, SUM(step) OVER (ORDER BY at, step) AS total FROM ({inner}) AS changes"  # noqa: S608 - Django's own
            " ORDER BY total DESC, at LIMIT 1"
        )
        with connections[self.db].cursor() as cursor:
            cursor.execute(statement, values)
            row = cursor.fetchone()
        if row is None:
            return None
        at, total = row
        # SQLite's own form of it, or at least none of its zone, which only the models know.
        at = datetime.fromisoformat(at) if isinstance(at, str) else at
        return total, at if timezone.is_aware(at) else at.replace(tzinfo=UTC)


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
    # It came by this link, which `user` had made.
    link = models.ForeignKey(
        "streams.ShareLink",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="downloads",
        # By an index of its own: few come by one.
        db_index=False,
        verbose_name=_("by link"),
    )
    # Whether it uses the link up by one, and is not the rest of another download. None: it came by
    # no link, which this still tells when the link is gone.
    counted = models.BooleanField(null=True, editable=False)
    # Those that have it in common are sent as one zip, one after the other: its download id. Of one
    # whose turn has not come there is no first byte yet.
    bundle = models.UUIDField(_("zip"), null=True, blank=True, editable=False)
    filename = models.CharField(_("file name"), max_length=255, blank=True)
    state = models.CharField(
        _("state"), max_length=12, choices=State.choices, default=State.RUNNING
    )
    reason = models.CharField(_("reason"), max_length=50, blank=True)
    # What the doctor found when it looked why it failed; empty where it did not. For operators.
    # `cause` is the id of a check.
    cause = models.CharField(_("likely cause"), max_length=50, blank=True)
    diagnosis = models.TextField(_("diagnosis"), blank=True)
    status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    first = models.BigIntegerField(_("first byte"), default=0)
    # Bytes of this answer's body; null while the origin does not tell.
    size = models.BigIntegerField(_("size"), null=True)
    total = models.BigIntegerField(_("size of the whole file"), null=True)
    sent = models.BigIntegerField(_("sent"), default=0)
    proof = models.CharField(_("proof"), max_length=10, choices=Proof.choices, default=Proof.NONE)
    # Of the bytes that were sent, in hex; empty unless they are complete.
    sha256 = models.CharField(_("SHA-256"), max_length=64, blank=True)
    # How often the origin was opened again for the rest, unseen by the client.
    resumes = models.PositiveSmallIntegerField(_("resumed"), default=0)
    resumable = models.BooleanField(_("resumable"), default=False)
    # Handed over to nginx, whose log tells at its end what was sent. Until then nothing is known,
    # and `seen_at` lies ahead: that is how long it is waited for.
    offloaded = models.BooleanField(_("sent by nginx"), default=False)
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    first_byte_at = models.DateTimeField(_("first byte at"), null=True)
    # Bytes a second, of late; null until that can be told. Means something while it runs.
    speed = models.BigIntegerField(_("speed"), null=True)
    seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished"), null=True)
    # When the source deletes the file, as it said then; null where it did not.
    kept_until = models.DateTimeField(_("kept until"), null=True, editable=False)
    # Of the client, as far as the portal knows.
    address = models.CharField(_("from"), max_length=100, blank=True)
    # What an operator wants, or its user (then without a reason), for the process that carries it
    # to see. It may end otherwise first.
    stop_asked_at = models.DateTimeField(_("to be stopped since"), null=True)
    stopped_by = models.CharField(_("stopped by"), max_length=150, blank=True)
    stop_reason = models.CharField(_("why it was stopped"), max_length=200, blank=True)

    # For the audit log, the log and traces, while it runs. Not stored.
    source: Source | None = None
    request_id = ""
    span: Any = None

    objects = DownloadQuerySet.as_manager()

    class Meta:
        verbose_name = _("download")
        verbose_name_plural = _("downloads")
        ordering = ["-started_at"]
        permissions = [("stop_download", "May stop downloads")]
        indexes = [
            models.Index(fields=["state", "-started_at"], name="download_by_state"),
            models.Index(fields=["reason", "-started_at"], name="download_by_reason"),
            models.Index(fields=["slug", "-started_at"], name="download_by_slug"),
            models.Index(fields=["username", "-started_at"], name="download_by_username"),
            models.Index(fields=["user", "endpoint", "-started_at"], name="download_by_user"),
            models.Index(fields=["endpoint", "-started_at"], name="download_of_endpoint"),
            # All that is summed up over a time, so that no row need be read for it.
            models.Index(
                fields=["started_at", "endpoint", "state", "sent"], name="download_traffic"
            ),
            models.Index(fields=["link"], condition=Q(link__isnull=False), name="download_by_link"),
            models.Index(
                fields=["bundle"], condition=Q(bundle__isnull=False), name="download_of_bundle"
            ),
            models.Index(fields=["seen_at"], condition=Q(state="running"), name="download_running"),
            models.Index(
                fields=["state", "stop_asked_at"],
                condition=Q(stop_asked_at__isnull=False),
                name="download_stopping",
            ),
            models.Index(
                fields=["finished_at"],
                condition=Q(state="failed", diagnosis=""),
                name="download_unexplained",
            ),
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

    @property
    def reached_end(self) -> bool:
        """Whether it sent the file's last byte: whoever had what is before it has all of it."""
        if self.state != State.COMPLETE or self.status == 304:
            return False
        return self.status != 206 or self.first + self.sent == self.total

    @property
    def is_whole(self) -> bool:
        """What `whole` finds."""
        return self.reached_end and self.first == 0


class PartDigests(models.Model):
    """SHA-256 of each part of 8 MiB of the file that a complete download sent whole.

    Apart from the download, whose rows are listed by the hundred thousand.
    """

    download = models.OneToOneField(
        Download, models.CASCADE, primary_key=True, related_name="part_digests"
    )
    # The number of the first part, counted from the beginning of the file.
    first = models.PositiveIntegerField(_("first part"))
    # 32 bytes for each, all zero for one that was left out.
    digests = models.BinaryField(_("digests"))

    def __str__(self) -> str:
        return f"{self.download_id}: {len(self.digests) // 32}"
