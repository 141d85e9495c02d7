"""Settings are checked as the program starts, and a wrong one is named without its value."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from portal import env

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPILLWAY_SECRET_KEY", "canary"),
        ("SPILLWAY_ENCRYPTION_KEYS", "canary"),
        ("SPILLWAY_ENCRYPTION_KEYS", f"{Fernet.generate_key().decode()},canary"),
        ("SPILLWAY_PRIVATE_ORIGINS", "canary"),
        ("SPILLWAY_PRIVATE_ORIGINS", "10.0.0.0/8,canary"),
        ("SPILLWAY_DEBUG", "canary"),
        ("SPILLWAY_OFFLOAD", "canary"),
        ("SPILLWAY_HEAD_TIMEOUT", "canary"),
        ("SPILLWAY_IDLE_TIMEOUT", "-1"),
    ],
)
def test_a_wrong_setting_is_named_and_not_repeated(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ImproperlyConfigured) as caught:
        env.read()

    assert name in str(caught.value)
    assert "Expected: " in str(caught.value)
    assert "canary" not in str(caught.value)


def test_keys_are_taken_with_and_without_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    key = Fernet.generate_key().decode()
    monkeypatch.setenv("SPILLWAY_ENCRYPTION_KEYS", f"{key}, {key.rstrip('=')}")

    keys = [held.get_secret_value() for held in env.read().encryption_keys]

    assert keys == [key, key]


def test_a_secret_may_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("s" * 40 + "\n")
    monkeypatch.delenv("SPILLWAY_SECRET_KEY", raising=False)
    monkeypatch.setenv("SPILLWAY_SECRET_KEY_FILE", str(path))

    secret = env.read().secret_key

    assert secret is not None
    assert secret.get_secret_value() == "s" * 40


def test_a_secret_in_both_forms_or_in_a_missing_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "missing"))
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL_FILE"):
        env.read()

    monkeypatch.setenv("DATABASE_URL", "sqlite:///x")
    with pytest.raises(ImproperlyConfigured, match="both set"):
        env.read()


def test_a_stored_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "key"

    first, second = env.stored_key(path), env.stored_key(path)

    assert first == second
    assert len(first) >= 43
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["key"]


def test_the_program_stops_with_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, "SPILLWAY_STATE_DIR": str(tmp_path), "SPILLWAY_DEBUG": "perhaps"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("spillway: SPILLWAY_DEBUG is wrong. Expected: ")
    assert "Traceback" not in done.stderr
