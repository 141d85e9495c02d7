"""One worker's hold on one rotation."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from streams.models import Rotation
from streams.rotation.problems import LostLeaseError


@dataclass
class Lease:
    """Every write of this worker is by its token: once another one has taken over, none counts."""

    rotation: Rotation
    seconds: float
    notes: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.notes = dict(self.rotation.notes)

    def renew(self) -> None:
        """Before each call of AWS. Raises `LostLeaseError`."""
        self.write(lease_until=Now() + timedelta(seconds=self.seconds))

    def write(self, **values: Any) -> None:
        """Changes the row, if it is still ours. Raises `LostLeaseError`."""
        mine = Rotation.objects.filter(pk=self.rotation.pk, token=self.rotation.token)
        if not mine.open().update(**values):
            raise LostLeaseError("Another worker has this rotation now.")

    def now(self) -> float:
        """Seconds of the database's clock."""
        row = Rotation.objects.filter(pk=self.rotation.pk).values_list(Now(), flat=True)
        moment: datetime = row.get()
        return moment.timestamp()

    # `run.Notes`

    def get(self, key: str) -> Any:
        return self.notes.get(key)

    def put(self, key: str, value: Any) -> None:
        self._store(self.notes | {key: value})

    def drop(self, prefix: str) -> None:
        kept = {key: held for key, held in self.notes.items() if not key.startswith(prefix)}
        if kept != self.notes:
            self._store(kept)

    def _store(self, notes: dict[str, Any]) -> None:
        self.write(notes=notes)
        self.notes = notes


def claim(pk: int, seconds: float) -> Lease | None:
    """The rotation for this worker alone, if it is due and nobody else has it."""
    with transaction.atomic():
        due = Rotation.objects.filter(pk=pk).due()
        until = Now() + timedelta(seconds=seconds)
        if not due.update(token=F("token") + 1, lease_until=until):
            return None
        rotation = Rotation.objects.with_versions().get(pk=pk)
        if rotation.resumed:
            rotation.resumed, rotation.attempts = False, 0
            rotation.save(update_fields=["resumed", "attempts"])
    return Lease(rotation, seconds)
