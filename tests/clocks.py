"""Another time: for the embedded database, and for this process with it."""

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
    with database_moved(timedelta()), time_machine.travel(timezone.now() + by):
        yield


@contextmanager
def database_moved(by: timedelta) -> Iterator[None]:
    """The database's clock alone is so far from this process's: AWS takes no signature of then."""
    assert connection.vendor == "sqlite"

    def now(*_: str) -> str:
        return f"{timezone.now() + by:%Y-%m-%d %H:%M:%S.%f}"

    def tells(connection: Any, **_: object) -> None:
        connection.connection.create_function("STRFTIME", -1, now)

    connection_created.connect(tells)
    connection.close()
    try:
        yield
    finally:
        connection_created.disconnect(tells)
        connection.close()
