"""The proxy configuration of `deploy/`, in a real nginx: a cut stays a cut, nothing is stored."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.functional.client import Answer, Exchange
from tests.functional.conftest import ROOT, Portal, until
from tests.functional.origin import Case, Connection, Request, Script, chunks, head

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
MEGABYTE = 1 << 20
BODY = b"0123456789abcdef" * (MEGABYTE // 16)

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs the program nginx")


@pytest.fixture(scope="module")
def nginx(portal: Portal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its port."""
    folder = tmp_path_factory.mktemp("nginx")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    site = (ROOT / "deploy" / "nginx.conf").read_text()
    site = site.replace("127.0.0.1:8000", f"127.0.0.1:{portal.port}")
    site = site.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    site = re.sub(r"ssl_certificate.*\n", "\n", site)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr error;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n{site} }}\n"
    )
    assert NGINX is not None
    process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(config)])
    try:
        assert until(lambda: _open(port), 10), "nginx did not start"
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


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
