"""`make audit` asks for each locked package, and fails for a known fault.

The databases are not to be had in CI: a server on loopback answers as they do, OSV's
`/v1/query` for pip-audit and npm's `/-/npm/v1/security/advisories/bulk`.
"""

import fcntl
import gzip
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
NODE = ROOT / "functions/nodejs/package-lock.json"
OSV = {
    "id": "PYSEC-2026-1",
    "summary": "It gives everything away.",
    "affected": [{"package": {"name": "django", "ecosystem": "PyPI"}}],
}
NPM = {
    "id": 1,
    "url": "https://advisories.example/GHSA-1",
    "title": "It gives everything away.",
    "severity": "critical",
    "vulnerable_versions": "*",
}


class Advisories(ThreadingHTTPServer):
    """What both databases know, and what they were asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.python: set[tuple[str, str]] = set()
        self.node: dict[str, list[str]] = {}
        self.faulty = ""

    def told(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        if path == "/v1/query":
            name = asked["package"]["name"]
            self.python.add((name, asked["version"]))
            return {"vulns": [OSV]} if name == self.faulty else {}
        self.node |= asked
        return {self.faulty: [NPM]} if self.faulty in asked else {}


class _Answering(BaseHTTPRequestHandler):
    server: Advisories

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        answer = json.dumps(self.server.told(self.path, json.loads(body))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        """Of no package there are other versions, with which npm would mend it."""
        self.send_error(404)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def advisories() -> Iterator[Advisories]:
    with Advisories() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _audit(advisories: Advisories) -> subprocess.CompletedProcess[str]:
    address = f"http://127.0.0.1:{advisories.server_port}"
    asking = {
        "PIP_AUDIT_VULNERABILITY_SERVICE": "osv",
        "PIP_AUDIT_OSV_URL": f"{address}/v1/query",
        # Not that of the machine, through which the environment for auditing is installed.
        "npm_config_registry": address,
    }
    # Tests run side by side, and the first of them sets the environment for auditing up.
    with (ROOT / "Makefile").open() as makefile:
        fcntl.flock(makefile, fcntl.LOCK_EX)
        return subprocess.run(
            ["make", "audit"],
            cwd=ROOT,
            env=os.environ | asking,
            capture_output=True,
            text=True,
            timeout=140,
            check=False,
        )


def _pinned(lock: Path) -> list[str]:
    return re.findall(r"^[a-z0-9].*?(?= \\$)", lock.read_text(), re.MULTILINE)


def test_each_locked_package_is_asked_for(advisories: Advisories) -> None:
    done = _audit(advisories)

    assert done.returncode == 0, done.stdout + done.stderr
    locked = [Requirement(line) for lock in LOCKS for line in _pinned(lock)]
    assert advisories.python == {
        (canonicalize_name(one.name), str(one.specifier).removeprefix("=="))
        for one in locked
        if one.marker is None or one.marker.evaluate()
    }
    packages = json.loads(NODE.read_text())["packages"]
    assert advisories.node.keys() >= {"typescript", "aws-lambda-ric"}
    for name, versions in advisories.node.items():
        assert packages[f"node_modules/{name}"]["version"] in versions


@pytest.mark.parametrize(("faulty", "said"), [("django", "PYSEC-2026-1"), ("typescript", "GHSA-1")])
def test_one_known_fault_fails_it_by_name(advisories: Advisories, faulty: str, said: str) -> None:
    advisories.faulty = faulty

    done = _audit(advisories)

    assert done.returncode != 0
    assert faulty in done.stdout
    assert said in done.stdout
