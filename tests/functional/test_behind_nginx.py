"""The proxy configuration of `deploy/`, in a real nginx: a cut stays a cut, nothing is stored."""

import time
from collections.abc import Iterator

import pytest

from tests.functional.client import Answer, Exchange
from tests.functional.conftest import Portal
from tests.functional.nginx import PROGRAM, fronting
from tests.functional.origin import Case, Connection, Request, Script, chunks, head

MEGABYTE = 1 << 20
BODY = b"0123456789abcdef" * (MEGABYTE // 16)

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs the program nginx")


@pytest.fixture(scope="module")
def nginx(portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its port."""
    with fronting(tmp_path_factory.mktemp("nginx"), portal.port) as made:
        yield made.port


def ask(portal: Portal, nginx: int, case: Case, receive_buffer: int = 0) -> Exchange:
    target = f"/exports/plain/download?case={case.name}"
    fields = f"Authorization: Bearer {portal.token}"
    return Exchange(nginx, target, fields, receive_buffer=receive_buffer)


def get(portal: Portal, nginx: int, script: Script) -> Answer:
    return ask(portal, nginx, portal.origin.on(script)).read()


def sending(opening: bytes, *parts: bytes, reset: bool) -> Script:
    def script(_: Request, connection: Connection) -> None:
        connection.send(opening)
        for part in parts:
            connection.send(part)
            time.sleep(0.05)
        if reset:
            connection.reset()

    return script


LENGTH = head(f"Content-Length: {2 * MEGABYTE}")
CHUNKED = head("Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    ("opening", "parts"),
    [(LENGTH, [BODY, BODY]), (CHUNKED, [chunks(BODY, last=b""), chunks(BODY)])],
)
def test_what_is_whole_arrives_whole(
    portal: Portal, nginx: int, opening: bytes, parts: list[bytes]
) -> None:
    answer = get(portal, nginx, sending(opening, *parts, reset=False))

    assert (answer.status, answer.end) == (200, "complete")
    assert answer.body == 2 * BODY


@pytest.mark.parametrize(("opening", "part"), [(LENGTH, BODY), (CHUNKED, chunks(BODY, last=b""))])
def test_what_is_cut_is_seen_to_be_cut(
    portal: Portal, nginx: int, opening: bytes, part: bytes
) -> None:
    answer = get(portal, nginx, sending(opening, part, reset=True))

    assert answer.status == 200
    assert answer.end in {"cut", "reset"}


def test_a_client_that_reads_nothing_holds_the_origin_back(portal: Portal, nginx: int) -> None:
    def endless(_: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {1 << 30}"))
        connection.pour(1 << 30)

    case = portal.origin.on(endless)
    exchange = ask(portal, nginx, case, receive_buffer=65536)
    exchange.read_head()

    time.sleep(2)

    # What four kernel buffers on the way may hold; nginx with its defaults would take 1 GiB.
    assert case.connections[0].sent < 64 * MEGABYTE
    exchange.leave()
    assert case.left.wait(5)
