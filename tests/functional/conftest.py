"""The real server, as operators start it, in front of an origin that tests script."""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.functional.client import Answer, Exchange
from tests.functional.origin import Case, Origin, Script

ROOT = Path(__file__).resolve().parents[2]
LOCK = "requirements/development.txt"
CURRENT = "current-" + "c" * 32
# Exports of the same origin, in one stream and in segments.
EITHER_WAY = ["plain", pytest.param("parts", marks=pytest.mark.slow)]
PREVIOUS = "previous-" + "p" * 32


@dataclass
class Portal:
    """A running `manage.py serve`; `hops` are the processes between the origin and the client."""

    process: subprocess.Popen[bytes]
    port: int
    token: str
    folder: Path
    environment: dict[str, str]
    origin: Origin
    hops: int = 1

    def ask(
        self, case: Case, *fields: str, slug: str = "plain", query: str = "", **options: Any
    ) -> Exchange:
        return self.fetch(slug, *fields, query=f"?case={case.name}{query}", **options)

    def fetch(self, slug: str, *fields: str, query: str = "", **options: Any) -> Exchange:
        return Exchange(
            self.port,
            f"/exports/{slug}/download{query}",
            f"Authorization: Bearer {self.token}",
            *fields,
            **options,
        )

    def get(self, script: Script, *fields: str, **options: Any) -> Answer:
        """The answer to one request for what `script` sends."""
        return self.ask(self.origin.on(script), *fields, **options).read()

    def record(self, answer: Answer, seconds: float = 5) -> dict[str, Any]:
        """The row of the download in the database, once it has ended."""
        wanted = (answer.value("x-download-id") or "").replace("-", "")
        assert wanted, "no X-Download-Id"
        row: dict[str, Any] = {}

        def ended() -> bool:
            for found in self.select("select * from streams_download where id = ?", wanted):
                row.update(found)
            return bool(row) and row["state"] != "running"

        assert until(ended, seconds), f"the record did not end: {row}"
        return row

    def select(self, query: str, *values: str) -> list[dict[str, Any]]:
        """Rows of the database."""
        with contextlib.closing(sqlite3.connect(self.folder / "db.sqlite3")) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(query, values)]

    @property
    def memory(self) -> int:
        """Resident bytes of the server."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    @property
    def threads(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("Threads:")[1].split()[0])

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


def until(condition: Callable[[], object], seconds: float = 5) -> bool:
    """Waits for what happens soon; False where it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _python(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def migrated_database(environment: dict[str, str]) -> Path:
    """A database that is up to date: made once for all tests, since it takes many seconds."""
    # Our migrations, and those of what we use.
    names = [*sorted((ROOT / "streams" / "migrations").glob("*.py")), ROOT / LOCK]
    digest = hashlib.sha256(b"".join(name.read_bytes() for name in names)).hexdigest()
    made = Path(tempfile.gettempdir()) / f"spillway-tests-{os.getuid()}-{digest[:16]}.sqlite3"
    if not made.exists():
        with tempfile.TemporaryDirectory() as draft:
            database = Path(draft) / made.name
            _python(
                {**environment, "DATABASE_URL": f"sqlite:///{database}"}, "manage.py", "migrate"
            )
            database.replace(made)
    return made


# The commands in one process: Django's start takes longer than all of them.
PREPARE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import django
django.setup()
from django.core.management import call_command
registry, previous, current = sys.argv[1:]
for os.environ["GUARD"] in (previous, current):
    call_command("apply", registry, stdout=sys.stderr)
call_command("create_user", "ann", "--password-env", "PASSWORD", stdout=sys.stderr)
call_command("create_user", "op", "--staff", "--password-env", "PASSWORD", stdout=sys.stderr)
call_command("create_token", "ann")
"""


REGISTRY = """
version: 1
secrets:
  - {{name: guard, value_from_env: GUARD}}
endpoints:
  - {{slug: plain, title: Plain, kind: http, url: "{url}", groups: "*"}}
  - {{slug: named, title: Named, kind: http, url: "{url}", filename: "r\\u00e9sum\\u00e9-{{date}}.csv", groups: "*"}}
  - {{slug: open, title: Open, kind: function-url, url: "{url}", groups: "*"}}
  - slug: guarded
    title: Guarded
    kind: function-url
    url: "{url}"
    auth: secret-header
    secret: guard
    groups: "*"
  - {{slug: nobody, title: Nobody, kind: http, url: "{url}", groups: []}}
  - {{slug: parts, title: In parts, kind: http, url: "{url}", segments: {{size: 64KiB, parallel: 4}}, groups: "*"}}
  - {{slug: shared, title: Shared, kind: http, url: "{url}", filename: s.csv, groups: "*", shareable: true}}
  - slug: chosen
    title: Chosen
    kind: http
    url: "{url}"
    groups: "*"
    params:
      - {{name: case}}
      - {{name: since, label: Since, type: date, required: true}}
      - {{name: form, type: choice, choices: [csv, json], default: csv}}
  - {{slug: kept, title: Kept gzipped, kind: http, url: "{url}", filename: kept.csv, keep_gzip: true, groups: "*"}}
"""  # noqa: E501


@contextlib.contextmanager
def running(
    folder: Path,
    origin: Origin,
    *,
    registry_text: str | None = None,
    workers: int = 1,
    **settings: str,
) -> Iterator[Portal]:
    """A portal of its own, with short patience."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("SPILLWAY_", "DJANGO_"))},
        "SPILLWAY_STATE_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "SPILLWAY_SECRET_KEY": secrets.token_urlsafe(40),
        "SPILLWAY_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "SPILLWAY_PRIVATE_ORIGINS": "127.0.0.0/8",
        "SPILLWAY_HEAD_TIMEOUT": "2",
        "SPILLWAY_IDLE_TIMEOUT": "2",
        "SPILLWAY_CLIENT_TIMEOUT": "4",
        "PYTHONWARNINGS": "default",
        **settings,
    }
    if environment["DATABASE_URL"].startswith("sqlite:"):
        shutil.copy(migrated_database(environment), folder / "db.sqlite3")
    else:
        _python(environment, "manage.py", "migrate")
    registry = folder / "registry.yaml"
    registry.write_text(registry_text or REGISTRY.format(url=origin.url))
    token = _python(
        {**environment, "PASSWORD": "tests-only"}, "-c", PREPARE, str(registry), PREVIOUS, CURRENT
    ).strip()
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "manage.py", "serve"),
                *("--bind", "127.0.0.1:0", "--workers", str(workers)),
            ],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        text = folder / "log"
        assert until(lambda: "startup complete" in text.read_text(), 60), text.read_text()
        port = int(re.findall(r"Serving on http://127\.0\.0\.1:(\d+)/", text.read_text())[-1])
        yield Portal(process, port, token, folder, environment, origin)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    made = Origin()
    yield made
    made.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Modules with `EITHER_FRONT` are tried behind nginx too, but for tests marked `direct`."""
    if not getattr(metafunc.module, "EITHER_FRONT", False):
        return
    direct = metafunc.definition.get_closest_marker("direct")
    if direct is None and "portal" in metafunc.fixturenames:
        fronts = ["direct", pytest.param("nginx", marks=pytest.mark.slow)]
        metafunc.parametrize("portal", fronts, indirect=True)


@pytest.fixture(scope="session")
def portal(
    request: pytest.FixtureRequest, origin: Origin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Portal]:
    """By itself; or, for modules that say so, behind nginx, which carries what it can."""
    # Late: it uses this module.
    from tests.functional import nginx

    folder = tmp_path_factory.mktemp("portal")
    if getattr(request, "param", "direct") == "direct":
        with running(folder, origin) as made:
            yield made
    elif nginx.PROGRAM is None:
        pytest.skip("needs the program nginx")
    else:
        with nginx.carrying(folder, origin) as chain:
            yield replace(chain.portal, port=chain.nginx.port, hops=2)
