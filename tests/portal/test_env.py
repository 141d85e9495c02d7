"""Settings are checked as the program starts, and a wrong one is named without its value."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from portal import env, mail
from portal.mail import MailServer

ROOT = Path(__file__).resolve().parents[2]
A_KEY = "a" * 43 + "="


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPILLWAY_SECRET_KEY", "canary"),
        ("SPILLWAY_ENCRYPTION_KEYS", "canary"),
        ("SPILLWAY_ENCRYPTION_KEYS", f"{A_KEY},canary"),
        ("SPILLWAY_ENCRYPTION_KEYS", ","),
        ("SPILLWAY_ENCRYPTION_KEYS", " "),
        ("SPILLWAY_PRIVATE_ORIGINS", "canary"),
        ("SPILLWAY_PRIVATE_ORIGINS", "10.0.0.0/8,canary"),
        ("SPILLWAY_DEBUG", "canary"),
        ("SPILLWAY_OFFLOAD", "canary"),
        ("SPILLWAY_HEAD_TIMEOUT", "canary"),
        ("SPILLWAY_IDLE_TIMEOUT", "-1"),
        ("SPILLWAY_IDLE_TIMEOUT", "inf"),
        ("SPILLWAY_ALLOWED_HOSTS", "http://canary/"),
        ("SPILLWAY_ALLOWED_HOSTS", "localhost,canary:8000"),
        ("SPILLWAY_EMAIL_FROM", "canary"),
        ("SPILLWAY_EMAIL_FROM", "canary@example.com\nBcc: eve@example.com"),
        ("SPILLWAY_BASE_URL", "canary.example.com"),
        ("SPILLWAY_BASE_URL", "ftp://canary.example.com"),
        ("SPILLWAY_BASE_URL", "https://ann:canary@example.com"),
        ("SPILLWAY_BASE_URL", "https://canary.example.com/?a=b"),
        ("SPILLWAY_BASE_URL", "https://canary.example.com:99999"),
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


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SPILLWAY_DEBUG", "maybe", "true or false"),
        ("SPILLWAY_OFFLOAD", "apache", "'nginx'"),
        ("SPILLWAY_IDLE_TIMEOUT", "soon", "a number"),
        ("SPILLWAY_IDLE_TIMEOUT", "-1", "more than 0"),
        ("SPILLWAY_IDLE_TIMEOUT", "inf", "a number"),
        ("SPILLWAY_TOKEN_MAX_DAYS", "1.5", "a whole number"),
        ("SPILLWAY_TOKEN_MAX_DAYS", "9999", "3650 or less"),
        ("SPILLWAY_SEGMENT_MEMORY", "much", "a size such as 5MiB"),
    ],
)
def test_a_wrong_setting_is_told_what_it_expects(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ImproperlyConfigured) as caught:
        env.read()

    assert str(caught.value) == f"{name} is wrong. Expected: {expected}"


def test_hosts_are_taken_in_every_form_that_django_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPILLWAY_ALLOWED_HOSTS", "*, exports.example.com, .example.com, [::1], web")

    assert env.read().allowed_hosts == [
        "*", "exports.example.com", ".example.com", "[::1]", "web",
    ]  # fmt: skip


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


def test_only_its_owner_can_read_what_is_kept_in_a_folder_for_all(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    given = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}

    subprocess.run(
        [sys.executable, "manage.py", "showmigrations", "streams"],
        cwd=ROOT,
        env={**given, "SPILLWAY_STATE_DIR": str(tmp_path)},
        capture_output=True,
        check=True,
    )

    made = {path.name: path.stat() for path in tmp_path.iterdir() if path.is_file()}
    assert "spillway.sqlite3" in made
    assert {state.st_mode & 0o777 for state in made.values()} == {0o600}


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


SENDER = "spillway@example.com"


@pytest.mark.parametrize(
    "url",
    [
        "canary",
        "https://canary.example.com",
        "smtp://",
        "smtp://:25",
        "smtp://canary:0",
        "smtp://canary:port",
        "smtp://canary/path",
        "smtp://canary#fragment",
        "smtp://canary?tls=none",
        "smtp://canary?tls=starttls&tls=starttls",
        "smtp://canary?ssl=true",
        "smtps://canary?tls=starttls",
        "smtps://canary@host",
        "smtps://:canary@host",
        "smtps://user:canary%0d%0a@host",
        # A password that everybody on the way could read.
        "smtp://user:canary@host",
    ],
)
def test_a_wrong_mail_server_is_named_and_not_repeated(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPILLWAY_EMAIL_FROM", SENDER)
    monkeypatch.setenv("SPILLWAY_EMAIL_URL", url)

    with pytest.raises(ImproperlyConfigured, match="SPILLWAY_EMAIL_URL is wrong") as caught:
        env.read()

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://relay", MailServer("relay", 25)),
        ("smtp://relay:2525/", MailServer("relay", 2525)),
        ("smtp://[::1]:2525", MailServer("::1", 2525)),
        ("smtps://ann:s%40%2Fe@host", MailServer("host", 465, "ann", "s@/e", tls=True)),
        (
            "smtp://ann%40example.com:se@host?tls=starttls",
            MailServer("host", 587, "ann@example.com", "se", starttls=True),
        ),
    ],
)
def test_a_mail_server_is_one_url(url: str, server: MailServer) -> None:
    assert mail.parse(url) == server
    assert "password" not in repr(server)


def test_a_mail_server_needs_a_sender(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("smtps://ann:secret@host\n")
    monkeypatch.setenv("SPILLWAY_EMAIL_URL_FILE", str(path))
    with pytest.raises(ImproperlyConfigured, match="SPILLWAY_EMAIL_FROM is wrong"):
        env.read()

    monkeypatch.setenv("SPILLWAY_EMAIL_FROM", SENDER)
    url = env.read().email_url

    assert url is not None
    assert url.get_secret_value() == "smtps://ann:secret@host"


def test_the_portals_own_address_has_no_slash_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPILLWAY_BASE_URL", "https://exports.example.com/portal/")

    assert env.read().base_url == "https://exports.example.com/portal"
