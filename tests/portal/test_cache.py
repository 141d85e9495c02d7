"""A Redis that is away turns nobody away."""

import pytest

from portal.cache import Forgiving


def test_what_is_away_knows_nothing_and_refuses_nothing() -> None:
    # Nobody listens on this port.
    cache = Forgiving("redis://127.0.0.1:1/0", {})

    assert cache.get("key") is None
    assert cache.get("key", 5) == 5
    assert cache.add("key", 1, 60) is True
    cache.set("key", 1, timeout=60)
    assert cache.delete("key") is False
    with pytest.raises(ValueError, match="not found"):
        cache.incr("key")
