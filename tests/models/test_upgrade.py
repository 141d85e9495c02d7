"""A portal of the first release is brought up to date, while the old version still serves."""

import gzip
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from django.db import models
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models.fields import NOT_PROVIDED

from tests.functional.conftest import ROOT

# Rows of `bench.seed`, made and dumped with that release.
FIRST = Path(__file__).with_name("first_release.sql.gz")
KEYS = {
    "SPILLWAY_SECRET_KEY": "first-release-secret-key-0123456789-abcdefghij",
    "SPILLWAY_ENCRYPTION_KEYS": "Zmlyc3QtcmVsZWFzZS1rZXktMDEyMzQ1Njc4OWFiY2Q=",
}
LOOK = """
from django.contrib.auth import authenticate
from streams.models import Channel, SecretVersion
import json
Channel.objects.seal()
print(json.dumps({
    "signs in": authenticate(username="operator", password="first-release") is not None,
    "values": [len(version.value) > 16 for version in SecretVersion.objects.all()],
    "webhooks": sorted({channel.destination for channel in Channel.objects.all()}),
}))
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database:
        # Of Django, in constraints.
        database.create_function("REGEXP", 2, lambda wanted, text: bool(re.search(wanted, text)))
        database.executescript(gzip.decompress(FIRST.read_bytes()).decode())
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("SPILLWAY_", "DJANGO_"))},
        **KEYS,
        "SPILLWAY_STATE_DIR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
    }


def manage(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(environment: dict[str, str]) -> dict[str, int]:
    """How many each of our tables has."""
    path = environment["DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as database:
        found = database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'streams_%'")
        tables = [name for (name,) in found if "." not in name]
        kinds = dict(database.execute("SELECT name, type FROM sqlite_master"))
        return {
            name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
            for name in tables
            if kinds[name] == "table"
        }


def addresses(environment: dict[str, str]) -> set[str]:
    """Where notices go, as a version knows it that seals none."""
    path = environment["DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as database:
        return {one for (one,) in database.execute("SELECT address FROM streams_channel")}


@pytest.mark.slow
def test_a_database_of_the_first_release_is_brought_up_to_date(environment: dict[str, str]) -> None:
    before = rows(environment)
    assert before["streams_download"] == 40

    manage(environment, "migrate", "--verbosity", "0")

    after = rows(environment)
    assert {name: after[name] for name in before} == before
    assert json.loads(manage(environment, "verify_audit", "--json"))["ok"]
    stored = addresses(environment)
    seen = json.loads(manage(environment, "shell", "--no-imports", "--command", LOOK))
    assert seen == {"signs in": True, "values": [True, True], "webhooks": sorted(stored)}
    assert "slug: export-0007" in manage(environment, "export_registry")
    # Workers seal them, and going back opens them.
    assert stored == {"https://hooks.example.com/"}
    assert addresses(environment) == {"hooks.example.com/…"}
    manage(environment, "migrate", "streams", "0005", "--verbosity", "0")
    assert addresses(environment) == stored


def hindrance(operation: Operation) -> str:
    """Why the version before cannot go on serving once this is done; empty where it can."""
    name = type(operation).__name__
    if isinstance(operation, operations.AddField):
        field = operation.field
        free = field.null or field.many_to_many or field.db_default is not NOT_PROVIDED
        return "" if free else f"{name} of {operation.name}: the old version fills it with nothing"
    harmless = (
        operations.CreateModel, operations.AddIndex, operations.AlterModelOptions,
        operations.RunPython,
    )  # fmt: skip
    return "" if isinstance(operation, harmless) else f"{name} changes what the old version uses"


def test_each_migration_leaves_the_version_before_what_it_uses() -> None:
    migrations = MigrationLoader(None).disk_migrations
    found = {
        f"{migration}: {told}"
        for (app, name), migration in migrations.items()
        if app == "streams" and name != "0001_initial"
        for operation in migration.operations
        if (told := hindrance(operation))
    }

    assert found == set()


@pytest.mark.parametrize(
    ("operation", "told"),
    [
        (operations.AddField("download", "x", models.TextField(null=True)), False),
        (operations.AddField("download", "x", models.TextField(db_default="")), False),
        (operations.AddField("download", "x", models.TextField(default="")), True),
        (operations.RemoveField("download", "sha256"), True),
        (operations.RenameField("download", "sha256", "digest"), True),
        (operations.DeleteModel("download"), True),
    ],
)
def test_what_would_stop_the_version_before_is_told(operation: Operation, told: bool) -> None:
    assert bool(hindrance(operation)) is told
