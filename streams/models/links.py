"""Share links: an export for somebody without an account."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import Count, F, Max, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from streams.models.downloads import State

# So many wrong passcodes within this time, and no more are tried.
TRIES, PERIOD = 5, timedelta(minutes=15)


def used(row: str = "") -> Q:
    """Downloads, which `row` leads to, that use a link up by one.

    Those that were broken off by the source or by the portal do not, nor does one whose client left
    before the first byte, or had the file already.
    """
    lasting = {f"{row}state__in": [State.RUNNING, State.COMPLETE, State.REDIRECTED]}
    left = {f"{row}state": State.CANCELLED, f"{row}sent__gt": 0}
    return Q(**{f"{row}counted": True}) & ~Q(**{f"{row}status": 304}) & (Q(**lasting) | Q(**left))


class ShareLinkQuerySet(models.QuerySet["ShareLink"]):
    def open(self) -> Self:
        """Neither revoked nor expired, by the database's clock. They may be used up."""
        return self.filter(revoked_at__isnull=True, expires_at__gt=Now())

    def with_uses(self) -> Self:
        """With `uses`, and `last_used_at`: when it last began to be used."""
        counted = used("downloads__")
        return self.annotate(
            uses=Count("downloads", filter=counted),
            last_used_at=Max("downloads__started_at", filter=counted),
        )

    def take_try(self, link: "ShareLink") -> bool:
        """Whether another passcode may be tried, of however many at once."""
        mine = self.filter(pk=link.pk)
        rested = Q(tries_since__isnull=True) | Q(tries_since__lte=Now() - PERIOD)
        if mine.filter(rested).update(tries=1, tries_since=Now()):
            return True
        return bool(mine.filter(~rested, tries__lt=TRIES).update(tries=F("tries") + 1))

    def give_back_try(self, link: "ShareLink") -> None:
        """It was the right one."""
        self.filter(pk=link.pk, tries__gt=0).update(tries=F("tries") - 1)


class ShareLink(models.Model):
    """Downloads of one export with these parameters, so many of them, until then.

    Stored as a public key (to find it) and a digest (to prove it). The link itself is shown once,
    when it is made. It opens nothing that `user`, who made it, could not have now.
    """

    endpoint = models.ForeignKey(
        "streams.Endpoint", models.CASCADE, related_name="links", verbose_name=_("export")
    )
    user = models.ForeignKey(
        "streams.User", models.CASCADE, related_name="links", verbose_name=_("made by")
    )
    note = models.CharField(_("for whom"), max_length=100, blank=True)
    key = models.CharField(_("public key"), max_length=12, unique=True)
    # Also of all that the link is bound to: a row that was changed opens nothing.
    digest = models.CharField(max_length=64, editable=False)
    query = models.TextField(_("parameters"), blank=True)
    most = models.PositiveSmallIntegerField(_("downloads allowed"))
    passcode = models.CharField(max_length=128, blank=True, editable=False)
    tries = models.PositiveSmallIntegerField(default=0, editable=False)
    tries_since = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    expires_at = models.DateTimeField(_("expires"))
    revoked_at = models.DateTimeField(_("revoked"), null=True)

    objects = ShareLinkQuerySet.as_manager()

    class Meta:
        verbose_name = _("share link")
        verbose_name_plural = _("share links")
        ordering = ["-created_at", "-pk"]
        # Its maker makes it, and nothing but its end can be changed.
        default_permissions = ("view", "change")
        constraints = [
            models.CheckConstraint(
                name="share_link_allows_some",
                condition=Q(most__gte=1),
                violation_error_message=_("A link allows one download at least."),
            )
        ]

    def __str__(self) -> str:
        return self.key
