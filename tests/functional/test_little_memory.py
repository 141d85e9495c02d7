"""An origin that never ends, in a process that may not grow (as under `ulimit -v`)."""

import resource
import time
from pathlib import Path

import pytest

from tests.functional.conftest import Portal, running
from tests.functional.origin import Connection, Origin, Request, chunks, head, length

MEGABYTE = 1024 * 1024
ROOM = 256 * MEGABYTE
PIECE = chunks(b"x" * 65536, last=b"")


def endless(_: Request, connection: Connection) -> None:
    connection.send(head("Transfer-Encoding: chunked", 'ETag: "v1"'))
    while True:
        connection.send(PIECE)


def endless_head(_: Request, connection: Connection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.send(b"X-More: " + b"y" * 1000 + b"\r\n")


def endless_size(_: Request, connection: Connection) -> None:
    connection.send(head("Transfer-Encoding: chunked") + b"5\r\nhello\r\n5;")
    while True:
        connection.send(b"x" * 65536)


def endless_trailers(_: Request, connection: Connection) -> None:
    connection.send(head("Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n")
    while True:
        connection.send(b"X-More: " + b"y" * 1000 + b"\r\n")


def endless_interim(_: Request, connection: Connection) -> None:
    while True:
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")


def endless_error(_: Request, connection: Connection) -> None:
    connection.send(head("Transfer-Encoding: chunked", status="403 Forbidden"))
    while True:
        connection.send(PIECE)


def size_of(portal: Portal) -> int:
    """Bytes of address space, which is what the limit counts."""
    status = Path(f"/proc/{portal.process.pid}/status").read_text()
    return int(status.split("VmSize:")[1].split()[0]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux")
def test_what_never_ends_fills_no_memory(origin: Origin, tmp_path: Path) -> None:
    # Each thread may reserve an arena of 64 MiB of addresses, which is not memory.
    with running(tmp_path, origin, MALLOC_ARENA_MAX="2") as portal:
        # Threads and arenas that everybody needs are there before the limit is.
        for slug in ("plain", "parts", "open"):
            warm = origin.on(lambda _, c: c.send(length(b"x" * MEGABYTE)))
            assert portal.ask(warm, slug=slug).read().end == "complete"
        limit = size_of(portal) + ROOM
        resource.prlimit(portal.process.pid, resource.RLIMIT_AS, (limit, limit))
        silent = [
            portal.ask(origin.on(endless), slug=slug, receive_buffer=8192)
            for slug in ("plain", "parts", "open")
        ]
        reading = portal.ask(origin.on(endless))
        assert reading.read_head().status == 200, portal.log
        began, got = time.monotonic(), 0

        while got < 3 * ROOM:
            got += len(reading.sock.recv(MEGABYTE))
            assert time.monotonic() - began < 30, f"{got} bytes"

        for script, statuses in (
            (endless_head, {502}),
            # Whether its first bytes were read alone is chance.
            (endless_size, {200, 502}),
            (endless_trailers, {200, 502}),
            (endless_interim, {502, 504}),
            (endless_error, {502}),
        ):
            answer = portal.ask(origin.on(script), slug="open").read()
            assert answer.status in statuses, (script, answer)
            assert answer.end == ("cut" if answer.status == 200 else "complete")
        # It lives, and serves.
        assert portal.ask(origin.on(lambda _, c: c.send(length(b"whole")))).read().body == b"whole"
        assert portal.process.poll() is None
        assert "MemoryError" not in portal.log
        for exchange in [*silent, reading]:
            exchange.leave()
