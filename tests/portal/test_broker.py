"""The embedded broker: what is damaged, half-written or gone costs a message at most."""

import os
import threading
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from django.conf import settings
from kombu import Connection, Exchange, Queue

from portal.broker import PATIENCE

QUEUE = Queue("celery", Exchange("celery", type="direct"), routing_key="celery")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "broker"


@pytest.fixture
def connection(folder: Path) -> Iterator[Connection]:
    with connected(folder) as made:
        yield made


def connected(folder: Path) -> Connection:
    return Connection(
        "filesystem://localhost",
        transport="portal.broker:Transport",
        transport_options={"data_folder_in": str(folder)},
    )


def send(connection: Connection, number: int) -> None:
    connection.Producer(serializer="json").publish(
        {"number": number}, exchange=QUEUE.exchange, routing_key="celery", declare=[QUEUE]
    )


def received(connection: Connection) -> list[int]:
    """All that is there now."""
    queue = connection.SimpleQueue(QUEUE.name)
    numbers: list[int] = []
    while True:
        try:
            message = queue.get_nowait()
        except Empty:
            return numbers
        message.ack()
        numbers.append(message.payload["number"])


def test_the_embedded_broker_names_the_host_that_kombu_asks_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url, transport = settings.CELERY_BROKER_URL, settings.CELERY_BROKER_TRANSPORT

    assert Connection(url, transport=transport).info()["hostname"] == "localhost"
    assert transport == "portal.broker:Transport"
    assert caplog.messages == []


def test_messages_arrive_once_and_in_order(connection: Connection, folder: Path) -> None:
    for number in range(3):
        send(connection, number)
        time.sleep(0.002)

    assert received(connection) == [0, 1, 2]
    assert received(connection) == []
    assert not list(folder.iterdir())


def test_messages_of_another_queue_are_left_to_it(connection: Connection, folder: Path) -> None:
    send(connection, 1)
    (folder / "1_a.other.msg").write_bytes(b"{}")

    assert received(connection) == [1]
    assert [path.name for path in folder.iterdir()] == ["1_a.other.msg"]


def test_a_message_that_is_being_written_is_waited_for(
    connection: Connection, folder: Path
) -> None:
    send(connection, 1)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    send(connection, 2)

    assert received(connection) == [2]

    path.write_bytes(whole)
    assert received(connection) == [1]


@pytest.mark.parametrize("left", [b"", b'{"body": "abc', b"\xff\xfe"])
def test_what_a_killed_process_has_left_is_removed(
    connection: Connection, folder: Path, left: bytes
) -> None:
    send(connection, 1)
    path = folder / "0_a.celery.msg"
    path.write_bytes(left)
    long_ago = time.time() - 2 * PATIENCE
    os.utime(path, (long_ago, long_ago))

    assert received(connection) == [1]
    assert not path.exists()


def test_a_folder_that_is_gone_is_made_anew(connection: Connection, folder: Path) -> None:
    send(connection, 1)
    (path,) = folder.iterdir()
    path.unlink()
    folder.rmdir()

    assert received(connection) == []
    folder.rmdir()
    send(connection, 2)
    assert received(connection) == [2]


def test_no_message_goes_to_two(folder: Path) -> None:
    with connected(folder) as sender:
        for number in range(300):
            send(sender, number)
    got: list[list[int]] = []

    def receive() -> None:
        with connected(folder) as mine:
            got.append(received(mine))

    threads: list[Any] = [threading.Thread(target=receive) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(chain.from_iterable(got)) == list(range(300))
