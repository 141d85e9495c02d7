"""Which exports are cut often, so that it is told once when that begins and once when it ends."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from streams.models.endpoints import Endpoint


class CutWatch(models.Model):
    """One row for each endpoint that was ever cut often; `since` is None while it is not."""

    endpoint = models.OneToOneField(Endpoint, models.CASCADE, related_name="cut_watch")
    since = models.DateTimeField(_("often cut since"), null=True)

    class Meta:
        verbose_name = _("watch over cuts")
        verbose_name_plural = _("watches over cuts")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.endpoint)
