"""A text column that the database only ever sees encrypted."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    TextColumn = models.Field[str, str]
else:
    TextColumn = models.Field


class UndecryptableError(Exception):
    """A stored value fits none of the encryption keys. It is never handed out as it stands."""


@lru_cache(maxsize=4)
def _fernet_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def fernet() -> MultiFernet:
    """Encrypts with the newest of the configured keys and decrypts with any of them."""
    return _fernet_of(tuple(settings.ENCRYPTION_KEYS))


def decrypted(value: str) -> str:
    """What was encrypted with one of the keys. Raises `UndecryptableError`."""
    try:
        return fernet().decrypt(value.encode()).decode()
    except InvalidToken:
        raise UndecryptableError(
            "A stored secret fits none of SPILLWAY_ENCRYPTION_KEYS. "
            "Add the key that it was stored with."
        ) from None


class EncryptedField(TextColumn):
    """Text, encrypted at rest with `SPILLWAY_ENCRYPTION_KEYS` (Fernet: AES-128-CBC with HMAC).

    Reading raises `UndecryptableError` where no key fits: a ciphertext that was taken for the value
    would be pushed to a function.
    """

    def get_internal_type(self) -> str:
        return "TextField"

    def get_prep_value(self, value: Any) -> Any:
        if value is None:
            return None
        return fernet().encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        if value is None:
            return None
        return decrypted(value)

    def get_lookup(self, lookup_name: str) -> Any:
        # Each encryption differs, so a comparison in SQL could only ever be wrong.
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None

    def value_to_string(self, obj: models.Model) -> str:
        # Fixtures and `dumpdata` hold no secrets.
        return ""
