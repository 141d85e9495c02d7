"""`manage.py rekey`: stored secrets under the newest encryption key."""

from collections.abc import Iterator
from typing import Any

from allauth.mfa.models import Authenticator
from django.core.management.base import CommandError
from django.db import models, transaction

from streams import audit
from streams.audit.verifying import verify
from streams.management.quick import QuickCommand
from streams.models import Channel, KeptAnswer, SecretVersion
from streams.models.fields import UndecryptableError, decrypted, fernet


class Command(QuickCommand):
    help = (
        "Stores every secret again under the newest of SPILLWAY_ENCRYPTION_KEYS. May be stopped "
        "and repeated. Exit status 1 if a value fits none of the keys; all others are done."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        done, lost = 0, []
        for rows, field, name in _stored():
            try:
                _rekey(rows, field)
            except UndecryptableError:
                lost.append(name)
            else:
                done += 1
        for factor in Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN):
            try:
                _rekey_factor(factor.pk)
            except UndecryptableError:
                lost.append(f"the {factor.get_type_display()} of {factor.user}")
            else:
                done += 1
        # With the keys of another portal nothing is done: an entry sealed with them would say for
        # good that the log was broken.
        if done or not lost:
            # What the older keys have sealed is vouched for by this entry once they are gone.
            log = "whole" if verify().ok else "not whole"
            details = {"stored": str(done), "not decrypted": str(len(lost)), "audit log": log}
            audit.record("secrets.rekeyed", by=None, what="all secrets", details=details)
        self.stdout.write(f"re-encrypted {done}")
        if lost:
            raise CommandError(
                f"No key decrypts {', '.join(lost)}. Add the key that it was stored with."
            )


def _stored() -> Iterator[tuple[models.QuerySet[Any], str, str]]:
    """Each encrypted value: its row, its field, and what a person calls it."""
    versions = SecretVersion.objects.order_by("pk").values_list("pk", "secret__name", "number")
    for pk, secret, number in versions:
        yield SecretVersion.objects.filter(pk=pk), "value", f"{secret} version {number}"
    for pk, name in Channel.objects.order_by("pk").values_list("pk", "name"):
        channel = Channel.objects.filter(pk=pk)
        yield channel.defer("sealed"), "key", f"the key of channel {name}"
        if channel.filter(sealed__isnull=False).exists():
            yield channel.defer("key"), "sealed", f"the address of channel {name}"
    for pk in KeptAnswer.objects.order_by("pk").values_list("pk", flat=True):
        yield KeptAnswer.objects.filter(pk=pk), "answer", f"answer {pk} of the API"


@transaction.atomic
def _rekey(rows: models.QuerySet[Any], field: str) -> None:
    # Locked, so that a value that changes meanwhile is not overwritten with the old one.
    for row in rows.select_for_update():
        row.save(update_fields=[field])


@transaction.atomic
def _rekey_factor(pk: int) -> None:
    """allauth keeps what apps and recovery codes are made of in a JSON column."""
    for factor in Authenticator.objects.filter(pk=pk).select_for_update():
        for name in {"secret", "seed"} & factor.data.keys():
            factor.data[name] = fernet().encrypt(decrypted(factor.data[name]).encode()).decode()
        factor.save(update_fields=["data"])
