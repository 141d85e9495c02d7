"""One worker's hold on one notice."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from streams.models import Notice

# More than a delivery can take: 20 seconds of a webhook, or 10 for each answer of a mail server.
SECONDS = 300.0


@dataclass(frozen=True)
class Lease:
    """What this worker writes counts only as long as no other one has taken over."""

    notice: Notice

    def end(self, **values: Any) -> bool:
        """Records the outcome and lets go; False where another worker has it now."""
        mine = Notice.objects.filter(pk=self.notice.pk, token=self.notice.token).open()
        return bool(mine.update(lease_until=None, **values))


def claim(pk: uuid.UUID) -> Lease | None:
    """The notice for this worker alone, if it is due and nobody else has it.

    The attempt is counted now: one that kills its worker must not be made for ever.
    """
    with transaction.atomic():
        until = Now() + timedelta(seconds=SECONDS)
        due = Notice.objects.filter(pk=pk).due()
        if not due.update(token=F("token") + 1, attempts=F("attempts") + 1, lease_until=until):
            return None
        # Only webhooks need what is encrypted, and it may fit none of our keys any more.
        notices = Notice.objects.select_related("channel")
        return Lease(notices.defer("channel__key", "channel__sealed").get(pk=pk))
