"""The cache that processes share, in a Redis that may be away."""

import logging
from typing import Any

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


class Forgiving(RedisCache):
    """While Redis is away it knows nothing: limits of guessing rest, and nobody is turned away."""

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        try:
            return super().get(key, default, version)
        except RedisError as exc:
            return _away(exc, default)

    def add(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> bool:
        try:
            return super().add(key, value, *args, **kwargs)
        except RedisError as exc:
            return bool(_away(exc, True))

    def set(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> None:
        try:
            super().set(key, value, *args, **kwargs)
        except RedisError as exc:
            _away(exc, None)

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        try:
            return super().incr(key, delta, version)
        except RedisError as exc:
            _away(exc, None)
            # As for a key that is not there.
            raise ValueError(f"Key '{key}' not found") from None

    def delete(self, key: Any, version: int | None = None) -> bool:
        try:
            return super().delete(key, version)
        except RedisError as exc:
            return bool(_away(exc, False))


def _away(exc: RedisError, answer: Any) -> Any:
    logger.warning("cache_away", extra={"error": type(exc).__name__})
    return answer
