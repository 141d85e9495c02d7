"""The commands as operators type them: real processes, a database of their own."""

import contextlib
import json
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

ROOT = Path(__file__).resolve().parents[2]
VALUE = "canary-" + "v" * 32
REGISTRY = """
version: 1
secrets: [{name: orders, value_from_env: ORDERS}]
endpoints:
  - {slug: orders, title: Orders, kind: http, url: "https://example.com/", auth: secret-header, secret: orders, groups: [analysts]}
"""  # noqa: E501

Done = subprocess.CompletedProcess[str]


class Shell:
    """Runs `manage.py` against one database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SPILLWAY_", "DJANGO_"))},
            "SPILLWAY_STATE_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
            "SPILLWAY_SECRET_KEY": secrets.token_urlsafe(40),
            "SPILLWAY_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "ORDERS": VALUE,
        }

    def __call__(self, *words: str, text: str | None = None, **environment: str) -> Done:
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env={**self.environment, **environment},
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def manage(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("commands"))
    refused = shell("serve", "--bind", "127.0.0.1:0")
    assert refused.returncode == 1
    assert "manage.py migrate" in refused.stderr
    assert shell("migrate", "--verbosity", "0").returncode == 0
    return shell


def test_a_registry_is_applied_from_standard_input(manage: Shell) -> None:
    done = manage("apply", "-", text=REGISTRY)

    assert done.returncode == 0
    assert set(done.stdout.splitlines()) <= {
        "created secret orders", "created endpoint orders",
        "unchanged secret orders", "unchanged endpoint orders",
    }  # fmt: skip
    assert VALUE not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("version: 1\nendpoints: [{slug: a, colour: red}]\n", "endpoints[0].colour"),
        (REGISTRY.replace("value_from_env: ORDERS", "value_from_env: NOPE"), "NOPE is not set"),
    ],
)
def test_a_wrong_registry_ends_with_1_and_names_the_key(
    manage: Shell, tmp_path: Path, file: str, named: str
) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(file)

    done = manage("apply", str(path))

    assert done.returncode == 1
    assert done.stdout == ""
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_named(manage: Shell) -> None:
    done = manage("apply", "nowhere.yaml")

    assert done.returncode == 1
    assert "nowhere.yaml: No such file" in done.stderr


def test_a_registry_that_never_ends_is_refused(manage: Shell) -> None:
    done = manage("apply", "/dev/zero")

    assert done.returncode == 1
    assert "at most 1 MiB" in done.stderr


def test_the_registry_is_printed_without_values(manage: Shell) -> None:
    manage("apply", "-", text=REGISTRY)

    done = manage("export_registry")

    assert done.returncode == 0
    assert "slug: orders" in done.stdout
    assert VALUE not in done.stdout


def test_a_user_a_group_and_a_token(manage: Shell) -> None:
    made = manage(
        "create_user", "ann", "--password-env", "PW", "--group", "new", PW="correct horse"
    )
    again = manage("create_user", "ann", "--group", "other")
    token = manage("create_token", "ann", "--name", "cron", "--expires", "30d")

    assert made.stdout == "created user ann\n"
    assert again.stdout == "updated user ann\n"
    assert token.stdout.startswith("spw_")
    assert len(token.stdout.splitlines()) == 1
    with contextlib.closing(sqlite3.connect(manage.folder / "db.sqlite3")) as database:
        assert database.execute(
            "select count(*) from streams_user_groups g join streams_user u on u.id = g.user_id"
            " where u.username = 'ann'"
        ).fetchone() == (2,)


def test_another_role_is_refused_with_those_there_are(manage: Shell) -> None:
    refused = manage("create_user", "bob", "--role", "boss")

    assert refused.returncode == 2
    assert "(choose from 'viewer', 'operator', 'administrator')" in refused.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["create_user", "bob", "--password-env", "NOPE"], "NOPE is not set"),
        (["create_user", "no spaces"], "username"),
        (["create_user", "bob", "--group", "g" * 300], "--group: "),
        (["create_user", "bob", "--group", ""], "--group: "),
        (["create_token", "nobody"], "There is no user nobody"),
        (["create_token", "ann", "--expires", "soon"], "--expires: expected a duration"),
        (["serve", "--bind", "nonsense"], "--bind: expected HOST:PORT"),
        (["serve", "--bind", "127.0.0.1:99999"], "--bind: expected HOST:PORT"),
        (["serve", "--workers", "0"], "--workers: expected 1 or more"),
        (["worker", "--concurrency", "0"], "--concurrency: expected 1 or more"),
        (["worker", "--concurrency", "-1"], "--concurrency: expected 1 or more"),
    ],
)
def test_a_wrong_word_is_named(manage: Shell, words: list[str], named: str) -> None:
    done = manage(*words)

    assert done.returncode != 0
    assert named in done.stderr
    assert "Traceback" not in done.stderr


CHANNEL = """
from streams.models import Channel
channel = Channel(name="pager", kind="webhook")
channel.lead_to("https://example.com/token")
channel.save()
"""


@pytest.mark.slow
def test_secrets_are_stored_anew_under_the_newest_key(manage: Shell) -> None:
    manage("apply", "-", text=REGISTRY)
    assert manage("shell", "-c", CHANNEL).returncode == 0
    old, new = manage.environment["SPILLWAY_ENCRYPTION_KEYS"], Fernet.generate_key().decode()

    both = manage("rekey", SPILLWAY_ENCRYPTION_KEYS=f"{new},{old}")
    lost = manage("rekey", SPILLWAY_ENCRYPTION_KEYS=Fernet.generate_key().decode())
    only_new = manage("rekey", SPILLWAY_ENCRYPTION_KEYS=new)
    manage.environment["SPILLWAY_ENCRYPTION_KEYS"] = new
    log = manage("verify_audit")

    assert (both.returncode, both.stdout) == (0, "re-encrypted 3\n")
    assert lost.returncode == 1
    lacking = "orders version 1, the key of channel pager, the address of channel pager"
    assert lacking in lost.stderr
    assert only_new.returncode == 0
    # Keys that fit nothing have written nothing, either.
    assert log.returncode == 0, log.stdout
    told = manage("shell", "-c", "print(Channel.objects.get().destination)")
    assert told.stdout.strip().endswith("https://example.com/token")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPILLWAY_ENCRYPTION_KEYS", "not-a-key"),
        ("SPILLWAY_PRIVATE_ORIGINS", "everywhere"),
        ("SPILLWAY_IDLE_TIMEOUT", "soon"),
        ("DATABASE_URL", "nonsense://canary"),
        ("DATABASE_URL", "mysql://canary@db/spillway"),
        ("DATABASE_URL", "canary"),
        ("CELERY_BROKER_URL", "canary"),
        ("REDIS_URL", "http://canary"),
    ],
)
def test_a_wrong_setting_stops_the_start_by_name(manage: Shell, name: str, value: str) -> None:
    done = manage("check", **{name: value})

    assert done.returncode != 0
    assert f"{name} is wrong. Expected: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stderr


def test_a_taken_port_is_told(manage: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = manage("serve", "--bind", f"127.0.0.1:{taken.getsockname()[1]}")

    assert done.returncode == 1
    assert "Address already in use" in done.stderr


@pytest.mark.slow
def test_the_worker_sets_right_what_a_killed_process_left_and_ends_on_sigterm(
    manage: Shell,
) -> None:
    manage("apply", "-", text=REGISTRY)
    lost = (
        "from datetime import UTC, datetime; from streams.models import Download;"
        "Download.objects.create(slug='orders', username='ann', started_at=datetime(2026, 1, 1,"
        " tzinfo=UTC), seen_at=datetime(2026, 1, 1, tzinfo=UTC))"
    )
    assert manage("shell", "--no-imports", "-c", lost).returncode == 0
    database = sqlite3.connect(manage.folder / "db.sqlite3", isolation_level=None)
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "worker", "--with-scheduler", "--concurrency", "1"],
        cwd=ROOT,
        # The second tick is the first one that knows that none was missed.
        env=manage.environment | {"SPILLWAY_TICK": "2"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        state = None
        while state != ("interrupted",) and time.monotonic() < deadline:
            time.sleep(0.5)
            state = database.execute("select state from streams_download").fetchone()
    finally:
        database.close()
        worker.terminate()
    assert state == ("interrupted",)
    assert worker.wait(20) == 0


def test_logs_are_json(manage: Shell) -> None:
    code = (
        "import logging, django; django.setup(); "
        "logging.getLogger('streams').warning('hello', extra={'sent': 5, 'odd': object()})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**manage.environment, "DJANGO_SETTINGS_MODULE": "portal.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    line = json.loads(done.stderr)
    assert (line["event"], line["level"], line["sent"], line["odd"]) == (
        "hello", "warning", 5, "<object>",
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_database_that_is_silent_is_not_waited_for(manage: Shell) -> None:
    """As one whose machine has vanished; the kernel's own patience is two minutes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgres://spillway:canary@127.0.0.1:{silent.getsockname()[1]}/spillway"
        began = time.monotonic()

        done = manage("serve", DATABASE_URL=url)

    assert time.monotonic() - began < 60
    assert done.returncode == 1
    assert "DATABASE_URL: the database does not answer" in done.stderr
    assert "canary" not in done.stderr
