"""The keys that seal the log: one from each of `SPILLWAY_ENCRYPTION_KEYS`, by HKDF."""

import base64
import hmac
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


@lru_cache(maxsize=4)
def _keys_of(encryption_keys: tuple[str, ...]) -> dict[str, bytes]:
    """By their ids, the newest first. An id tells nothing of its key."""
    found = {}
    for text in encryption_keys:
        derived = HKDF(SHA256(), 32, salt=None, info=b"spillway audit log").derive(
            base64.urlsafe_b64decode(text)
        )
        found[hmac.digest(derived, b"id", "sha256").hex()[:12]] = derived
    return found


def _keys() -> dict[str, bytes]:
    return _keys_of(tuple(settings.ENCRYPTION_KEYS))


def newest() -> str:
    """The id of the key that seals now."""
    return next(iter(_keys()))


def is_known(key_id: str) -> bool:
    """Whether we still have this key."""
    return key_id in _keys()


def seal(key_id: str, text: str) -> str:
    """HMAC-SHA256, in hex. The key must be known."""
    return hmac.digest(_keys()[key_id], text.encode(), "sha256").hex()


def fits(key_id: str, text: str, found: str) -> bool:
    """Whether `found` is the seal of `text`."""
    return hmac.compare_digest(seal(key_id, text).encode(), found.encode())
