"""The audit log: what was done, by whom, in an order that cannot be changed unseen."""

from dataclasses import dataclass
from typing import Any, NoReturn

from django.db import models
from django.utils.translation import gettext_lazy as _


class How(models.TextChoices):
    """What carried it out."""

    WEB = "web", _("web")
    COMMAND = "command", _("command")
    WORKER = "worker", _("worker")


@dataclass(frozen=True)
class Source:
    """By which way something was done, and from where."""

    how: How
    address: str


class FinalError(Exception):
    """Somebody wanted to change or delete what is written once."""

    def __init__(self) -> None:
        super().__init__("Entries of the audit log are neither changed nor deleted.")


class AuditEntryQuerySet(models.QuerySet["AuditEntry"]):
    def update(self, **kwargs: Any) -> NoReturn:
        raise FinalError

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise FinalError

    def delete(self) -> NoReturn:
        raise FinalError


class AuditEntry(models.Model):
    """One thing that was done. `streams.audit` appends; the database refuses everything else.

    `digest` is SHA-256 of all before it in this row, and so of all rows before; `seal` is an HMAC
    of it with a key that is not in the database.
    """

    # From 1, with no gaps.
    number = models.PositiveBigIntegerField(_("number"), primary_key=True)
    time = models.DateTimeField(_("time"))
    # A name and no reference: it outlives the account. Empty: the portal itself, or a command.
    actor = models.CharField(_("who"), max_length=150, blank=True)
    how = models.CharField(_("how"), max_length=7, choices=How.choices)
    # Of the client; for commands and workers, the account and host that they ran on.
    address = models.CharField(_("from"), max_length=100, blank=True)
    action = models.CharField(_("action"), max_length=60)
    what = models.CharField(_("what"), max_length=300)
    details = models.JSONField(_("details"), default=dict)
    previous = models.CharField(_("previous digest"), max_length=64)
    key_id = models.CharField(_("key"), max_length=12)
    digest = models.CharField(_("digest"), max_length=64)
    seal = models.CharField(_("seal"), max_length=64)

    objects = AuditEntryQuerySet.as_manager()

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        ordering = ["-number"]
        # They cannot be given: nobody adds, changes or deletes one.
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["action", "-number"], name="audit_by_action"),
            models.Index(fields=["actor", "-number"], name="audit_by_actor"),
            models.Index(fields=["what", "-number"], name="audit_by_what"),
            models.Index(fields=["time"], name="audit_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.action} {self.what}"

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise FinalError

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise FinalError


class AuditHead(models.Model):
    """The one row that says where the log ends, so that nothing is cut off unseen.

    Whoever appends holds it until the transaction ends: there are no gaps and no forks.
    """

    # The last entry that was removed for its age, and its digest.
    trimmed = models.PositiveBigIntegerField(default=0)
    trimmed_digest = models.CharField(max_length=64)
    number = models.PositiveBigIntegerField(default=0)
    digest = models.CharField(max_length=64)
    key_id = models.CharField(max_length=12)
    seal = models.CharField(max_length=64)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.number)
