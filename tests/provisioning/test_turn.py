"""One run at a time, whatever becomes of the one before."""

import threading
import time

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from streams.provisioning import turn
from streams.provisioning.problems import BusyError, LostTurnError

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _short(settings: Settings) -> None:
    settings.ROTATION_LEASE = 1.5


def quiet(_: str) -> None:
    """Nobody listens."""


def test_who_comes_second_is_refused_while_the_first_is_alive() -> None:
    ended = threading.Event()

    def first() -> None:
        with turn.taken("orders", quiet) as held:
            begun.set()
            while not ended.wait(0.2):
                held.renew()
        connection.close()

    begun = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    begun.wait(10)
    try:
        with (
            pytest.raises(BusyError, match="provisions orders just now"),
            turn.taken("people", quiet),
        ):
            pytest.fail("it has no turn")
    finally:
        ended.set()
        thread.join()


def test_a_turn_that_ends_is_free_at_once() -> None:
    with turn.taken("orders", quiet):
        pass

    began = time.monotonic()
    with turn.taken("people", quiet):
        assert time.monotonic() - began < 1


def test_the_turn_of_a_killed_run_is_inherited_and_lost_to_it() -> None:
    said: list[str] = []
    # Never released: as a process leaves it that was killed.
    left_open = turn.taken("orders", quiet)
    killed = left_open.__enter__()

    with turn.taken("people", said.append) as held:
        held.renew()
        with pytest.raises(LostTurnError):
            killed.renew()

    assert said == ["Another run was here for orders. Waiting whether it is still alive."]
