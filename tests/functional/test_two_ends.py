"""A client that leaves or does not read, a server that is stopped or killed, and memory."""

import hashlib
import os
import signal
import time
from pathlib import Path

import pytest

from portal import malloc
from tests.functional.client import Exchange
from tests.functional.conftest import Portal, running, until
from tests.functional.origin import Case, Connection, Origin, Request, Script, head

EITHER_FRONT = True

GIGABYTE = 1 << 30
MEGABYTE = 1 << 20
# What a socket may grow to in either direction: tcp(7).
KERNELS = ("tcp_rmem", "tcp_wmem")


def endless(_: Request, connection: Connection) -> None:
    connection.send(head(f"Content-Length: {GIGABYTE}", 'ETag: "v1"', "Accept-Ranges: bytes"))
    connection.pour(GIGABYTE)


def silent_after_a_byte(_: Request, connection: Connection) -> None:
    connection.send(head("Content-Length: 10") + b"x")
    connection.wait_for_peer_to_leave()
    raise ConnectionError


def begun(portal: Portal, case: Case, receive_buffer: int = 0) -> Exchange:
    exchange = portal.ask(case, receive_buffer=receive_buffer)
    exchange.read_head()
    return exchange


def test_when_the_client_leaves_the_origin_is_closed(portal: Portal) -> None:
    case = portal.origin.on(endless)
    exchange = portal.ask(case)
    answer = exchange.read_head()

    exchange.leave()

    assert case.left.wait(3)
    record = portal.record(answer)
    assert (record["state"], record["reason"]) == ("cancelled", "client_left")


def test_when_the_client_leaves_a_silent_origin_is_closed_too(portal: Portal) -> None:
    case = portal.origin.on(silent_after_a_byte)
    exchange = portal.ask(case)
    answer = exchange.read_head()
    left_at = time.monotonic()

    exchange.leave()

    assert case.left.wait(1.5)
    assert case.left_at - left_at < 1.5, "only the idle limit closed it"
    assert portal.record(answer)["state"] == "cancelled"


def test_when_the_client_leaves_before_the_head_the_origin_is_closed(portal: Portal) -> None:
    def silent(_: Request, connection: Connection) -> None:
        connection.wait_for_peer_to_leave()
        raise ConnectionError

    case = portal.origin.on(silent)
    exchange = portal.ask(case)
    assert until(lambda: case.requests)

    exchange.leave()

    assert case.left.wait(1.5)


def test_a_client_that_reads_nothing_holds_the_origin_back_and_is_given_up(portal: Portal) -> None:
    case = portal.origin.on(endless)
    before = portal.memory
    exchange = portal.ask(case, receive_buffer=65536)
    answer = exchange.read_head()

    time.sleep(2)

    # nginx leaves its two sockets to the kernel, which holds what it likes for each.
    held = sum(int(Path(f"/proc/sys/net/ipv4/{name}").read_text().split()[2]) for name in KERNELS)
    assert case.connections[0].sent < 8 * MEGABYTE + (portal.hops - 1) * 2 * held
    assert portal.memory - before < 16 * MEGABYTE
    record = portal.record(answer, seconds=10)
    assert (record["state"], record["reason"]) == ("cancelled", "client_stalled")
    assert case.left.wait(3)
    exchange.leave()


def test_fifty_stalled_clients_cost_little_memory_and_no_thread(portal: Portal) -> None:
    case = portal.origin.on(endless)
    for exchange in [begun(portal, case) for _ in range(3)]:
        exchange.leave()
    memory, threads = portal.memory, portal.threads

    held = [begun(portal, case, receive_buffer=65536) for _ in range(50)]
    time.sleep(1)

    assert (portal.memory - memory) / 50 < MEGABYTE
    assert portal.threads <= threads + 4
    for exchange in held:
        exchange.leave()


def test_200_mb_arrive_whole_in_little_memory(portal: Portal) -> None:
    total, piece = 200_000_000, os.urandom(MEGABYTE)

    def script(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {total}"))
        connection.sent = 0
        connection.pour(total, piece)

    Path(f"/proc/{portal.process.pid}/clear_refs").write_text("5")
    before = portal.memory
    exchange = portal.ask(portal.origin.on(script))
    exchange.read_head()
    got, digest = len(exchange.rest()), hashlib.sha256(exchange.rest())
    while got < total:
        data = exchange.sock.recv(MEGABYTE)
        assert data
        got += len(data)
        digest.update(data)
    exchange.sock.close()

    expected = hashlib.sha256()
    for start in range(0, total, MEGABYTE):
        expected.update(piece[: total - start])
    assert digest.digest() == expected.digest()
    status = Path(f"/proc/{portal.process.pid}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    assert peak - before < 64 * MEGABYTE


def trickling(seconds: float) -> Script:
    def script(_: Request, connection: Connection) -> None:
        connection.send(head("Content-Length: 10"))
        for _byte in range(10):
            connection.send(b"x")
            time.sleep(seconds / 10)

    return script


@pytest.mark.slow
def test_sigterm_lets_a_download_finish(origin: Origin, tmp_path: Path) -> None:
    with running(tmp_path, origin) as portal:
        exchange = portal.ask(origin.on(trickling(3)))
        exchange_head = exchange.read_head()
        portal.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(ConnectionRefusedError):
            Exchange(portal.port, "/healthz")

        got = exchange.rest()
        while len(got) < 10 and (data := exchange.sock.recv(100)):
            got += data

        assert got == b"x" * 10
        exchange.leave()
        assert portal.process.wait(5) == 0
        assert portal.record(exchange_head)["state"] == "complete"


@pytest.mark.slow
def test_when_time_to_drain_runs_out_a_download_is_cut(origin: Origin, tmp_path: Path) -> None:
    with running(tmp_path, origin, SPILLWAY_DRAIN_TIMEOUT="1") as portal:
        exchange = portal.ask(origin.on(trickling(15)))
        answer = exchange.read_head()
        portal.process.send_signal(signal.SIGTERM)

        while exchange.more():
            pass

        assert len(exchange.rest()) < 10
        exchange.leave()
        assert portal.process.wait(5) == 0
        assert "traceback" not in portal.log
        record = portal.record(answer)
        assert (record["state"], record["reason"]) == ("cut", "shutdown")


@pytest.mark.slow
def test_a_killed_server_cuts_and_the_next_one_sets_the_record_right(
    origin: Origin, tmp_path: Path
) -> None:
    case = origin.on(endless)
    with running(tmp_path, origin) as portal:
        exchange = portal.ask(case, receive_buffer=65536)
        answer = exchange.read_head()
        time.sleep(1.5)
        portal.process.kill()
        portal.process.wait()
        while exchange.more():
            pass
        assert len(exchange.rest()) < GIGABYTE
        exchange.leave()

    with running(
        tmp_path, origin, SPILLWAY_ENCRYPTION_KEYS=portal.environment["SPILLWAY_ENCRYPTION_KEYS"]
    ) as portal:
        record = portal.record(answer, seconds=60)
    assert (record["state"], record["reason"]) == ("interrupted", "process_ended")


def test_ready_and_alive(portal: Portal) -> None:
    for path in ("/healthz", "/readyz"):
        answer = Exchange(portal.port, path).read()
        assert answer.status == 200


@pytest.mark.direct
def test_the_server_runs_with_its_settings_for_glibc(portal: Portal) -> None:
    environment = Path(f"/proc/{portal.process.pid}/environ").read_bytes().split(b"\0")

    for name, value in malloc.MALLOC.items():
        assert f"{name}={value}".encode() in environment
