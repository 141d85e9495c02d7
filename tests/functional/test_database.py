"""PostgreSQL in the place of SQLite, and both out of a backup."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.functional import postgres
from tests.functional.conftest import ROOT
from tests.functional.postgres import Postgres

# What asks the database much, and holds what the two do differently.
SUITES = ["models", "registry", "audit", "delivery", "access", "notices"]
REGISTRY = """
version: 1
secrets: [{name: guard, value_from_env: GUARD}]
endpoints:
  - {slug: orders, title: Orders, kind: function-url, url: "https://a.example.com/", auth: secret-header, secret: guard, groups: "*"}
"""  # noqa: E501
VALUE = "guard-" + "g" * 32
SESSION = "s3ss10n" * 4
# In one process: Django's start takes longer than all of it.
FILL = """
import io
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("apply", sys.argv[1], stdout=io.StringIO())
call_command("create_user", "ann", "--password-env", "PASSWORD", stdout=io.StringIO())
from allauth.usersessions.models import UserSession
from django.contrib.sessions.backends.db import SessionStore
from streams.models import User
session = SessionStore(sys.argv[2])
session.save(must_create=True)
UserSession.objects.create(user=User.objects.get(), ip="192.0.2.1", session_key=sys.argv[2])
call_command("export_registry")
"""
LOOK = """
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core.management import call_command
from streams.models import Secret, User
call_command("migrate", "--check")
call_command("verify_audit", stdout=sys.stderr)
call_command("export_registry")
values = [version.value for version in Secret.objects.get().versions.live()]
assert values == [sys.argv[1]], "another value"
assert User.objects.get().username == "ann"
for model in (Session, UserSession):
    assert not model.objects.exists(), "a session is in the backup"
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres.running() as made:
        yield made


def test_the_suites_that_depend_on_the_database_pass_on_postgresql(
    server: Postgres, tmp_path: Path
) -> None:
    # Its last test may leave a thread with a connection: then the database cannot be dropped, which
    # `--reuse-db` does not want. What SQLite alone can show is skipped.
    words = ["-m", "pytest", "-q", "-m", "not slow", "--reuse-db", "-p", "no:cacheprovider"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "SPILLWAY"))}

    done = subprocess.run(
        [sys.executable, *words, *(f"tests/{suite}" for suite in SUITES)],
        cwd=ROOT, env={**environment, "DATABASE_URL": server.url},
        capture_output=True, text=True, check=False, timeout=550,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6000:]
    passed, skipped = (
        int((re.findall(rf"(\d+) {what}", done.stdout) or ["0"])[0])
        for what in ("passed", "skipped")
    )
    assert passed > 400
    assert skipped <= 1, done.stdout[-3000:]


class Portal:
    """Its commands; `database` is a URL."""

    def __init__(self, folder: Path, database: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SPILLWAY_", "DJANGO_"))},
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "SPILLWAY_STATE_DIR": str(folder),
            "DATABASE_URL": database,
            "SPILLWAY_SECRET_KEY": "s" * 40,
            "SPILLWAY_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "GUARD": VALUE,
            "PASSWORD": "tests-only",
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=self.environment,
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip

    def execute(self, code: str, *words: str) -> str:
        done = self.run("-c", f"import django, sys; django.setup(){code}", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fill(self) -> str:
        """What its registry is."""
        registry = self.folder / "registry.yaml"
        registry.write_text(REGISTRY)
        return self.execute(FILL, str(registry), SESSION)

    def restored(self, database: str) -> "Portal":
        """Another one with the same keys, over what was played back."""
        other = Portal(self.folder.parent / "restored", database)
        keys = ("SPILLWAY_SECRET_KEY", "SPILLWAY_ENCRYPTION_KEYS")
        other.environment |= {name: self.environment[name] for name in keys}
        return other


def documented(start: str) -> list[str]:
    """The words of the command in `docs/how-to/back-up.md` that begins so."""
    text = (ROOT / "docs/how-to/back-up.md").read_text().replace("\\\n", " ")
    (line,) = re.findall(rf"^ *({re.escape(start)}.*)$", text, re.MULTILINE)
    return shlex.split(line)


def replaced(words: list[str], **others: str) -> list[str]:
    """With the names of the documentation replaced; each must occur."""
    for name, value in others.items():
        assert any(name in word for word in words), name
        words = [word.replace(name, value) for word in words]
    return words


def assert_restored(registry: str, after: Portal) -> None:
    """Everything is there; and without its keys no value can be read, nor is a wrong one."""
    assert "guard" in registry
    assert after.execute(LOOK, VALUE) == registry

    after.environment["SPILLWAY_ENCRYPTION_KEYS"] = Fernet.generate_key().decode()

    done = after.run("manage.py", "rekey")
    assert done.returncode == 1
    assert "No key decrypts guard version 1" in done.stderr
    assert VALUE not in done.stdout + done.stderr


def test_a_backup_of_postgresql_is_played_back(server: Postgres, tmp_path: Path) -> None:
    server.program("createdb", f"--maintenance-db={server.url}", "before")
    server.program("createdb", f"--maintenance-db={server.url}", "after")
    url = server.url.removesuffix("/postgres")
    portal = Portal(tmp_path / "portal", f"{url}/before")
    registry = portal.fill()
    copy = str(server.folder / "copy")

    dump = replaced(documented("pg_dump"), **{"$DATABASE_URL": f"{url}/before"})
    server.program(*replaced(dump, **{"spillway.dump": copy}))
    restore = replaced(documented("pg_restore"), **{"$NEW_DATABASE_URL": f"{url}/after"})
    server.program(*replaced(restore, **{"spillway.dump": copy}))

    assert_restored(registry, portal.restored(f"{url}/after"))


def test_a_backup_of_sqlite_is_taken_while_the_portal_runs(tmp_path: Path) -> None:
    path, copy = tmp_path / "portal/spillway.sqlite3", tmp_path / "copy.sqlite3"
    portal = Portal(path.parent, f"sqlite:///{path}")
    registry = portal.fill()

    _, *words = replaced(
        documented(".venv/bin/python -c"),
        **{"var/spillway.sqlite3": str(path), "spillway.copy": str(copy)},
    )
    subprocess.run([sys.executable, *words], check=True, timeout=60)

    assert SESSION.encode() not in copy.read_bytes()
    assert_restored(registry, portal.restored(f"sqlite:///{copy}"))
