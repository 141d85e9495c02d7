"""A command that cannot work says so in a sentence, whatever keeps it from working."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.commands.test_commands import REGISTRY, Done, Shell

NOT_MIGRATED = "The database is not up to date. Run: manage.py migrate"


@pytest.fixture
def manage(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def _sentence(done: Done) -> str:
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize(
    "words",
    [
        ["export_registry"],
        ["apply", "-"],
        ["create_token", "ann"],
        pytest.param(["create_user", "ann"], marks=pytest.mark.slow),
        pytest.param(["rotate", "orders"], marks=pytest.mark.slow),
        pytest.param(["rekey"], marks=pytest.mark.slow),
    ],
)
def test_a_database_without_tables_is_to_be_migrated(manage: Shell, words: list[str]) -> None:
    assert NOT_MIGRATED in _sentence(manage(*words, text=REGISTRY))


def test_who_asks_for_a_traceback_gets_it(manage: Shell) -> None:
    assert "Traceback" in manage("export_registry", "--traceback").stderr


@pytest.fixture(params=["no folder", "no database", "no server"])
def lost(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database that is not there."""
    if request.param == "no folder":
        yield f"sqlite:///{tmp_path / 'nowhere' / 'db.sqlite3'}"
    elif request.param == "no database":
        (tmp_path / "text").write_text("no database, " * 100)
        yield f"sqlite:///{tmp_path / 'text'}"
    else:
        with contextlib.closing(socket.socket()) as deaf:
            # Bound and not listening: nobody else gets this port, and nobody answers at it.
            deaf.bind(("127.0.0.1", 0))
            yield f"postgres://spillway:canary@127.0.0.1:{deaf.getsockname()[1]}/spillway"


@pytest.mark.parametrize("word", ["export_registry", "migrate"])
def test_a_database_that_is_not_there_is_told(manage: Shell, lost: str, word: str) -> None:
    told = _sentence(manage(word, DATABASE_URL=lost))

    assert "DATABASE_URL: the database does not answer: " in told
    assert "canary" not in told


@pytest.mark.parametrize("folder", ["/proc/x", "/etc/hostname"])
def test_a_state_folder_that_cannot_be_one_is_told_by_name(manage: Shell, folder: str) -> None:
    told = _sentence(manage("check", SPILLWAY_STATE_DIR=folder, SPILLWAY_SECRET_KEY=""))

    assert "SPILLWAY_STATE_DIR is wrong. Expected: a folder" in told


@pytest.mark.slow
def test_a_registry_is_applied_although_the_key_of_a_value_is_lost(manage: Shell) -> None:
    """The value cannot be put where it is to stand as well; that is told, and the rest is done."""
    stored = REGISTRY.replace("name: orders,", "name: orders, store: secrets-manager,")
    stored = stored.replace(", value_from_env: ORDERS", "")
    assert manage("migrate", "--verbosity", "0").returncode == 0
    assert manage("apply", "-", text=REGISTRY).returncode == 0

    other = Fernet.generate_key().decode()
    done = manage("apply", "-", text=stored, SPILLWAY_ENCRYPTION_KEYS=other)

    assert "Traceback" not in done.stderr
    assert "fits none of SPILLWAY_ENCRYPTION_KEYS" in done.stderr
