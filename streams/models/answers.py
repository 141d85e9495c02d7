"""What the API has answered to requests that create, so that a repeated one creates no second."""

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from streams.models.fields import EncryptedField

KEPT = timedelta(hours=24)


class KeptAnswerQuerySet(models.QuerySet["KeptAnswer"]):
    def forget(self) -> None:
        """Deletes those that nobody may ask for any more."""
        self.filter(created_at__lte=Now() - KEPT).delete()


class KeptAnswer(models.Model):
    """The answer to the request of `user` that bore this `Idempotency-Key`."""

    user = models.ForeignKey("streams.User", models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    # Keyed, and of the address and the body: they may hold a passcode.
    request = models.CharField(max_length=64)
    # JSON. It may hold a link, which is shown to nobody else.
    answer = EncryptedField(default="", editable=False)
    created_at = models.DateTimeField(db_default=Now())

    objects = KeptAnswerQuerySet.as_manager()

    class Meta:
        verbose_name = _("kept answer of the API")
        verbose_name_plural = _("kept answers of the API")
        default_permissions = ()
        indexes = [models.Index(fields=["created_at"], name="kept_answer_age")]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "key"],
                name="kept_answer_once",
                violation_error_message=_("This key was used before."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.pk}"
