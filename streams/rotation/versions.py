"""The old and the new value in the database."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import transaction

from streams.models import Rotation, SecretFunction, SecretVersion
from streams.models.secrets import fingerprint
from streams.rotation.lease import Lease

State = SecretVersion.State


@dataclass(frozen=True)
class StoredVersions:
    """`steps.Versions` over rows. Each change counts only while the lease holds."""

    lease: Lease

    @property
    def _rotation(self) -> Rotation:
        return self.lease.rotation

    def generate(self) -> str:
        rotation = self._rotation
        if rotation.new is None:
            # 32 random bytes; base64url is legal in a header, a mapping and an environment alike.
            value = secrets.token_urlsafe(32)
            with transaction.atomic():
                version = rotation.secret.versions.create(
                    number=rotation.secret.next_number(),
                    value=value,
                    fingerprint=fingerprint(value),
                    state=State.PENDING,
                )
                self.lease.write(new=version)
            rotation.new = version
        return str(rotation.new.value)

    @transaction.atomic
    def use_new(self) -> None:
        self.lease.renew()
        before = self._rotation.secret.versions.filter(state=State.PREVIOUS)
        before.exclude(pk=self._rotation.old.pk).update(state=State.RETIRED)
        self._set(self._rotation.old, State.PREVIOUS)
        self._set(self._rotation.new, State.CURRENT)

    @transaction.atomic
    def use_old(self) -> None:
        self.lease.renew()
        self._set(self._rotation.new, State.PENDING)
        self._set(self._rotation.old, State.CURRENT)

    @transaction.atomic
    def retire(self, *, old: bool) -> None:
        self.lease.renew()
        self._set(self._rotation.old if old else self._rotation.new, State.RETIRED)

    @transaction.atomic
    def place(self, *, old: str, new: str, urls: Mapping[str, str]) -> None:
        self.lease.renew()
        for version, alias in ((self._rotation.old, old), (self._rotation.new, new)):
            assert version is not None
            SecretVersion.objects.filter(pk=version.pk).update(alias=alias)
        SecretFunction.objects.filter(secret=self._rotation.secret).update(urls=dict(urls))

    @transaction.atomic
    def give_up(self) -> None:
        """What the portal sends stays, and the other one is sent no more."""
        self.lease.renew()
        both = SecretVersion.objects.filter(pk__in=[self._rotation.old_id, self._rotation.new_id])
        both.exclude(state=State.CURRENT).update(state=State.RETIRED)

    def external_id(self, *, old: bool) -> str:
        version = self._rotation.old if old else self._rotation.new
        return str(version.external_id) if version else ""

    @staticmethod
    def _set(version: SecretVersion | None, state: str) -> None:
        # There is none yet where a rotation goes back before it has generated one.
        if version is not None:
            SecretVersion.objects.filter(pk=version.pk).update(state=state)


class NoVersions:
    """Those of who only looks: nothing is stored."""

    def generate(self) -> str:
        raise NotImplementedError

    def use_new(self) -> None:
        raise NotImplementedError

    def use_old(self) -> None:
        raise NotImplementedError

    def retire(self, *, old: bool) -> None:
        raise NotImplementedError

    def place(self, *, old: str, new: str, urls: Mapping[str, str]) -> None:
        raise NotImplementedError

    def external_id(self, *, old: bool) -> str:
        raise NotImplementedError
