"""The configuration of `deploy/`, in a real nginx on loopback."""

import contextlib
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import certifi

from tests.functional.client import Answer, Exchange
from tests.functional.conftest import REGISTRY, ROOT, Portal, running, until
from tests.functional.origin import Case, Origin

PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
DEPLOY = ROOT / "deploy"
KEY = "offload-" + "k" * 32


@dataclass(frozen=True)
class Nginx:
    """Its port, and the log of the downloads that it carried."""

    port: int
    log: Path
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def fronting(folder: Path, *replicas: int, front: str = "", patience: int = 60) -> Iterator[Nginx]:
    """In front of the replicas of a portal at these ports.

    `front` is what `X-Spillway-Front` says, if nginx carries downloads; `patience` is for origins,
    in seconds.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / "offload.log"
    site = (DEPLOY / "nginx.conf").read_text()
    (line,) = re.findall(r"server 127\.0\.0\.1:8000.*;", site)
    lines = [line.replace("8000", str(port)) for port in replicas]
    site = site.replace(line, "\n".join(lines))
    site = site.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    site = re.sub(r"ssl_certificate.*\n", "\n", site)
    if front:
        site = site.replace("# include /etc/nginx/", f"include {folder}/")
        (folder / "spillway-front.conf").write_text(f'set $spillway_front "{front}";\n')
        offload = (DEPLOY / "nginx-offload.conf").read_text()
        offload = offload.replace("/var/log/nginx/spillway-offload.log", str(log))
        offload = offload.replace("/etc/ssl/certs/ca-certificates.crt", certifi.where())
        offload = offload.replace("_timeout 60s", f"_timeout {patience}s")
        (folder / "spillway-offload.conf").write_text(offload)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log error;\n"
        f"events {{}}\nhttp {{ access_log off; {paths}\n{site} }}\n"
    )
    assert PROGRAM is not None
    process = subprocess.Popen([PROGRAM, "-p", str(folder), "-c", str(config)])
    try:
        assert until(lambda: _open(port), 10), "nginx did not start"
        yield Nginx(port, log, process)
    finally:
        process.terminate()
        process.wait(10)


@dataclass
class Chain:
    """nginx, which carries what it can; behind it the portal, behind that the origin."""

    portal: Portal
    nginx: Nginx

    @property
    def origin(self) -> Origin:
        return self.portal.origin

    def ask(self, case: Case, *fields: str, slug: str = "plain", **options: Any) -> Exchange:
        target = f"/exports/{slug}/download?case={case.name}"
        token = f"Authorization: Bearer {self.portal.token}"
        return Exchange(self.nginx.port, target, token, *fields, **options)

    def get(self, case: Case, *fields: str, slug: str = "plain") -> Answer:
        return self.ask(case, *fields, slug=slug).read()


@contextlib.contextmanager
def carrying(folder: Path, origin: Origin, *, ships: bool = True) -> Iterator[Chain]:
    """nginx delivers the exports of `REGISTRY` that it can; who `ships` reads its log."""
    registry = REGISTRY.format(url=origin.url)
    for slug in ("plain", "named", "open", "parts", "kept"):
        registry = registry.replace(f"{{slug: {slug},", f"{{slug: {slug}, delivery: offload,")
    registry = registry.replace("slug: guarded\n", "slug: guarded\n    delivery: offload\n")
    settings: dict[str, Any] = {"SPILLWAY_OFFLOAD": "nginx", "SPILLWAY_OFFLOAD_KEY": KEY}
    front = f"{KEY} x-secret-header"
    with (
        running(folder, origin, registry_text=registry, **settings) as portal,
        fronting(folder, portal.port, front=front, patience=2) as nginx,
        shipping(portal, nginx.log) if ships else contextlib.nullcontext(),
    ):
        yield Chain(portal, nginx)


@contextlib.contextmanager
def shipping(portal: Portal, log: Path) -> Iterator[None]:
    """`manage.py ship_offload` while this lasts."""
    command = [sys.executable, "manage.py", "ship_offload", str(log)]
    process = subprocess.Popen(command, cwd=ROOT, env=portal.environment, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
