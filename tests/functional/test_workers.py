"""Several workers of one server: stopped, killed, and under limits that they share."""

import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.client import Exchange
from tests.functional.conftest import Portal, running, until
from tests.functional.origin import Case, Connection, Origin, Request, Script, head

MEGABYTE = 1024 * 1024
LIMITED = """
version: 1
secrets: [{{name: guard, value_from_env: GUARD}}]
endpoints:
  - {{slug: plain, title: Plain, kind: http, url: "{url}", groups: "*"}}
  - {{slug: two, title: Two, kind: http, url: "{url}", limits: {{concurrent: 2}}, groups: "*"}}
  - {{slug: steady, title: Steady, kind: http, url: "{url}", limits: {{bytes_per_second: 1MB}}, groups: "*"}}
  - {{slug: little, title: Little, kind: http, url: "{url}", limits: {{daily_bytes: 1MB}}, groups: "*"}}
"""  # noqa: E501


def limited(origin: Origin) -> str:
    return LIMITED.format(url=origin.url)


@pytest.fixture(scope="module")
def pair(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal of two workers."""
    folder = tmp_path_factory.mktemp("pair")
    with running(folder, origin, registry_text=limited(origin), workers=2) as portal:
        yield portal


def trickling(seconds: float, size: int = 20) -> Script:
    def script(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {size}"))
        for _byte in range(size):
            connection.send(b"x")
            time.sleep(seconds / size)

    return script


def sized(size: int) -> Script:
    def script(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {size}"))
        connection.sent = 0
        connection.pour(size)

    return script


def workers_of(portal: Portal) -> set[int]:
    """The processes that serve; the first one only looks after them."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = (path.parent / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == portal.process.pid and b"resource_tracker" not in command:
            found.add(int(path.parent.name))
    return found


def connected_to(portal: Portal, case: Case) -> int:
    """The worker that has the connection of the latest request of `case`."""
    sock = case.connections[-1].sock
    ends = [f"{address[1]:04X}" for address in (sock.getpeername(), sock.getsockname())]
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # Other connections may have one of the two ports.
    inode = next(row[9] for row in rows if [end[-4:] for end in row[1:3]] == ends)
    for pid in workers_of(portal):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if str(entry.readlink()) == f"socket:[{inode}]":
                    return pid
            except OSError:
                continue
    raise AssertionError("no worker has this connection")


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.slow
def test_sigterm_lets_downloads_of_all_workers_finish(origin: Origin, tmp_path: Path) -> None:
    with running(tmp_path, origin, workers=2) as portal:
        cases = [origin.on(trickling(4)) for _ in range(8)]
        exchanges = [portal.ask(case) for case in cases]
        heads = [exchange.read_head() for exchange in exchanges]
        serving = {connected_to(portal, case) for case in cases}
        everybody = workers_of(portal)

        portal.process.send_signal(signal.SIGTERM)
        # Nobody new is let in, and a second signal changes nothing.
        assert until(lambda: not is_open(portal.port), 3)
        portal.process.send_signal(signal.SIGTERM)

        for exchange in exchanges:
            while len(exchange.rest()) < 20 and exchange.more():
                pass
            assert exchange.rest() == b"x" * 20
            exchange.leave()
        assert portal.process.wait(8) == 0
        assert serving <= everybody
        assert len(everybody) == 2
        assert until(lambda: not any(map(is_alive, everybody)))
        assert {portal.record(each)["state"] for each in heads} == {"complete"}


@pytest.mark.slow
def test_a_killed_worker_cuts_its_own_downloads_and_frees_their_places(
    origin: Origin, tmp_path: Path
) -> None:
    text = limited(origin)
    with running(tmp_path, origin, registry_text=text, workers=2) as portal:
        case, other = origin.on(sized(400 * MEGABYTE)), origin.on(trickling(60, size=600))
        exchange = portal.ask(case, slug="two", receive_buffer=65536)
        killed = exchange.read_head()
        exchange_other = portal.ask(other, slug="two")
        lives = exchange_other.read_head()
        for _ in range(20):
            # The kernel chooses the worker: this one must have another.
            if connected_to(portal, case) != connected_to(portal, other):
                break
            exchange_other.leave()
            assert portal.record(lives)["state"] == "cancelled"
            exchange_other = portal.ask(other, slug="two")
            lives = exchange_other.read_head()
        assert portal.ask(case, slug="two").read().status == 429

        os.kill(connected_to(portal, case), signal.SIGKILL)

        while exchange.more():
            pass
        assert len(exchange.rest()) < 400 * MEGABYTE
        exchange.leave()
        record = portal.record(killed, seconds=60)
        assert (record["state"], record["reason"]) == ("interrupted", "process_ended")
        # Its place is free again, another worker stands in, and the other download goes on.
        assert portal.ask(origin.on(sized(10)), slug="two").read().status == 200
        assert until(lambda: len(workers_of(portal)) == 2, 20)
        assert exchange_other.more()
        exchange_other.leave()
        assert portal.record(lives)["state"] == "cancelled"


@pytest.mark.slow
def test_one_that_dies_without_an_answer_is_replaced_at_once(
    origin: Origin, tmp_path: Path
) -> None:
    with running(tmp_path, origin, workers=2) as portal:
        victim = min(workers_of(portal))
        os.kill(victim, signal.SIGSTOP)
        # By then it has been asked whether it lives, and for that a busy one has a minute.
        time.sleep(1.5)

        os.kill(victim, signal.SIGKILL)

        assert until(lambda: len(workers_of(portal) - {victim}) == 2, 20)


@pytest.mark.slow
def test_one_more_than_an_export_allows_is_told_when_to_come_again(
    origin: Origin, pair: Portal
) -> None:
    slow = [pair.ask(origin.on(trickling(30)), slug="two") for _ in range(2)]
    heads = [exchange.read_head() for exchange in slow]

    # Whichever worker is asked.
    refused = [pair.ask(origin.on(sized(1)), slug="two").read() for _ in range(6)]
    page = pair.ask(origin.on(sized(1)), "Accept: text/html", slug="two").read()
    elsewhere = pair.ask(origin.on(sized(1))).read()

    assert {answer.status for answer in refused} == {429}
    error = json.loads(refused[0].body)["error"]
    assert error["code"] == "export_busy"
    assert 5 <= int(refused[0].value("retry-after") or 0) <= 600
    assert b"Try again" in page.body
    assert elsewhere.status == 200
    slow[0].leave()
    assert pair.record(heads[0])["state"] == "cancelled"
    assert pair.ask(origin.on(sized(1)), slug="two").read().status == 200
    slow[1].leave()
    assert pair.record(heads[1])["state"] == "cancelled"


@pytest.mark.slow
def test_two_that_ask_at_once_do_not_both_get_the_last_place(origin: Origin, pair: Portal) -> None:
    exchanges = [pair.ask(origin.on(trickling(5)), slug="two") for _ in range(20)]

    answers = [exchange.read_head() for exchange in exchanges]

    assert sorted(answer.status for answer in answers) == [200] * 2 + [429] * 18
    for exchange in exchanges:
        exchange.leave()


@pytest.mark.slow
def test_a_users_bandwidth_is_shared_by_all_workers(origin: Origin, pair: Portal) -> None:
    cases = [origin.on(sized(50 * MEGABYTE)) for _ in range(4)]
    exchanges = [pair.ask(case, slug="steady") for case in cases]
    for exchange in exchanges:
        exchange.read_head()
        exchange.sock.setblocking(False)
    serving = {connected_to(pair, case) for case in cases}

    _drain(exchanges, 3)
    got = _drain(exchanges, 4)

    # What is on its way in the kernels came in the first seconds.
    assert 2_500_000 < got < 6_500_000, (got, len(serving))
    for exchange in exchanges:
        exchange.leave()


def _drain(exchanges: list[Exchange], seconds: float) -> int:
    """Reads whatever comes for so long; the number of bytes."""
    got, deadline = 0, time.monotonic() + seconds
    with selectors.DefaultSelector() as ready:
        for exchange in exchanges:
            ready.register(exchange.sock, selectors.EVENT_READ, exchange)
        while time.monotonic() < deadline:
            for key, _ in ready.select(0.1):
                got += len(key.data.sock.recv(1 << 20))
    return got


@pytest.mark.slow
def test_a_days_bytes_end_at_midnight(origin: Origin, pair: Portal) -> None:
    first = pair.ask(origin.on(sized(1_000_000)), slug="little").read()
    assert pair.record(first)["state"] == "complete"

    answer = pair.ask(origin.on(sized(1)), slug="little").read()

    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (429, "daily_limit")
    assert 0 < int(answer.value("retry-after") or 0) <= 86_401


@pytest.mark.slow
def test_500_slow_downloads_in_one_worker_all_end_whole(origin: Origin, tmp_path: Path) -> None:
    size, count = 512 * 1024, 500
    with running(tmp_path, origin, SPILLWAY_CLIENT_TIMEOUT="60") as portal:
        case = origin.on(sized(size))
        before = portal.memory
        exchanges = [portal.ask(case, receive_buffer=4096, seconds=60) for _ in range(count)]
        heads = [exchange.read_head() for exchange in exchanges]
        begun = time.monotonic()
        while time.monotonic() - begun < 5:
            # Some KB a second each, and all of them at once.
            for exchange in exchanges:
                exchange.more()
        held = portal.memory - before

        for exchange in exchanges:
            while len(exchange.rest()) < size and exchange.more():
                pass

        assert {answer.status for answer in heads} == {200}
        assert {len(exchange.rest()) for exchange in exchanges} == {size}
        assert held / count < MEGABYTE / 4, held / count
        for exchange in exchanges:
            exchange.leave()
        assert portal.record(heads[-1], seconds=20)["state"] == "complete"
