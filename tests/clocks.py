"""Another time, for this process and for its embedded database at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import time_machine
from django.db import connection
from django.db.backends.signals import connection_created
from django.utils import timezone


@contextmanager
def moved(by: timedelta) -> Iterator[None]:
    """Both clocks are ahead by so much, or behind, and go on from there."""
    assert connection.vendor == "sqlite"

    def tells(connection: Any, **_: object) -> None:
        connection.connection.create_function("STRFTIME", -1, _now)

    connection_created.connect(tells)
    connection.close()
    try:
        with time_machine.travel(timezone.now() + by):
            yield
    finally:
        connection_created.disconnect(tells)
        connection.close()


def _now(*_: str) -> str:
    return f"{timezone.now():%Y-%m-%d %H:%M:%S.%f}"
