"""`manage.py rekey`: stored secrets under the newest encryption key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from streams.models import SecretVersion
from streams.models.fields import UndecryptableError


class Command(BaseCommand):
    help = (
        "Stores every secret again under the newest of SPILLWAY_ENCRYPTION_KEYS. May be stopped "
        "and repeated. Exit status 1 if a value fits none of the keys; all others are done."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done, lost = 0, []
        rows = SecretVersion.objects.order_by("pk").values_list("pk", "secret__name", "number")
        for pk, name, number in rows:
            try:
                _rekey(pk)
            except UndecryptableError:
                lost.append(f"{name} version {number}")
            else:
                done += 1
        self.stdout.write(f"re-encrypted {done}")
        if lost:
            raise CommandError(
                f"No key decrypts {', '.join(lost)}. Add the key that it was stored with."
            )


@transaction.atomic
def _rekey(pk: int) -> None:
    # Locked, so that a value that changes meanwhile is not overwritten with the old one.
    for version in SecretVersion.objects.select_for_update().filter(pk=pk):
        version.save(update_fields=["value"])
