"""What is written into the audit log, and that nothing else can be done to it."""

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import shared_task
from django.db import IntegrityError, connection, transaction
from django.test import Client

from streams import audit
from streams.audit import protection
from streams.audit.verifying import verify
from streams.models import AuditEntry, AuditHead, How, User
from streams.models.audit import FinalError

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]


def test_entries_are_numbered_and_follow_each_other() -> None:
    ann = User.objects.create_user("ann")

    audit.record("endpoint.changed", by=ann, what="orders", details={"changes": "url"})
    audit.record("secret.revealed", by=None, what="orders")

    first, second = AuditEntry.objects.order_by("number")
    assert (first.number, first.actor, first.what, first.details) == (
        1, "ann", "orders", {"changes": "url"},
    )  # fmt: skip
    assert (second.number, second.actor, second.previous) == (2, "", first.digest)
    assert (first.how, "@" in first.address) == (How.COMMAND, True)
    assert verify().ok


def test_the_name_outlives_the_account() -> None:
    ann = User.objects.create_user("ann")
    audit.record("endpoint.changed", by=ann, what="orders")

    ann.delete()

    assert AuditEntry.objects.get().actor == "ann"


def test_what_did_not_happen_is_not_recorded() -> None:
    with transaction.atomic():
        audit.record("endpoint.changed", by=None, what="orders")
        transaction.set_rollback(True)

    assert not AuditEntry.objects.exists()
    audit.record("endpoint.changed", by=None, what="orders")
    assert AuditEntry.objects.get().number == 1


@pytest.mark.parametrize(
    "name", ["value", "new_value", "password", "Secret", "api-key", "access token", "Authorization"]
)
def test_details_that_sound_like_secrets_are_masked(name: str) -> None:
    audit.record("endpoint.changed", by=None, what="orders", details={name: "canary"})

    assert AuditEntry.objects.get().details == {name: "***"}


def test_whatever_somebody_enters_can_be_written_and_verified() -> None:
    for text in ("a\0b", "\ud800", "x" * 5000, "Ä\n☃"):
        audit.record("endpoint.changed", by=None, what=text, details={text: text})

    assert AuditEntry.objects.count() == 4
    assert verify().ok


@pytest.mark.parametrize("action", ["changed", "Endpoint.changed", "endpoint.", "end point.a", ""])
def test_an_action_is_a_dotted_id(action: str) -> None:
    with pytest.raises(ValueError, match="dotted id"):
        audit.record(action, by=None, what="orders")


def test_the_models_refuse_changes() -> None:
    audit.record("endpoint.changed", by=None, what="orders")
    entry, entries = AuditEntry.objects.get(), AuditEntry.objects.all()

    for change in (
        entry.save,
        entry.delete,
        entries.delete,
        lambda: entries.update(what="x"),
        lambda: AuditEntry.objects.bulk_update([entry], ["what"]),
    ):
        with pytest.raises(FinalError):
            change()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE streams_auditentry SET what = 'x'",
        "DELETE FROM streams_auditentry",
        "DELETE FROM streams_audithead",
        "UPDATE streams_audithead SET number = 0",
    ],
)
def test_the_database_refuses_changes(statement: str) -> None:
    audit.record("endpoint.changed", by=None, what="orders")

    with (
        pytest.raises(IntegrityError, match="only ever added to"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)

    assert protection.is_whole()
    assert AuditEntry.objects.get().what == "orders"


def test_what_a_worker_does_is_told_as_its() -> None:
    @shared_task
    def work() -> None:
        audit.record("test.ran", by=None, what="work")

    work.apply(throw=True)
    audit.record("test.ran", by=None, what="afterwards")

    afterwards, within = AuditEntry.objects.all()
    assert (within.how, afterwards.how) == (How.WORKER, How.COMMAND)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_many_processes_append_without_gaps_or_forks() -> None:
    """Other programs on the same database, each with entries in transactions of its own."""
    database = connection.settings_dict
    address = f"sqlite:///{database['NAME']}"
    if connection.vendor == "postgresql":
        address = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)
    program = (
        "import os, time, django; django.setup()\n"
        "from streams import audit\n"
        "print('ready', flush=True); input()\n"
        "for n in range(50):\n"
        "    audit.record('test.ran', by=None, what=f'{os.getpid()} {n}')\n"
        "    time.sleep(0.002)\n"
    )
    # The same settings, and so the same keys, but for the name of the database.
    environment = _environment() | {"DATABASE_URL": address}

    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for one in running:
        assert one.stdout
        assert one.stdout.readline() == b"ready\n"
    for one in running:
        assert one.stdin
        one.stdin.write(b"\n")
        one.stdin.flush()
    for one in running:
        one.communicate(timeout=60)

    assert [one.returncode for one in running] == [0, 0]
    verdict = verify()
    assert (verdict.entries, verdict.number, verdict.problems) == (100, 100, [])
    pids = [what.split()[0] for what in AuditEntry.objects.values_list("what", flat=True)]
    turns = sum(one != other for one, other in itertools.pairwise(pids))
    assert turns > 1, "they did not run at the same time"
    assert AuditHead.objects.count() == 1


def _environment() -> dict[str, str]:
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}


def sign_in(client: Client, **credentials: str) -> Any:
    return client.post("/accounts/login/", credentials, REMOTE_ADDR="192.0.2.7")


def test_signing_in_and_out_is_recorded(client: Client) -> None:
    User.objects.create_user("ann", password="correct")

    sign_in(client, username="ann", password="correct")
    client.post("/accounts/logout/")

    out, signed = AuditEntry.objects.all()
    assert (signed.action, signed.actor) == ("session.signed-in", "ann")
    assert (signed.how, signed.address) == (How.WEB, "192.0.2.7")
    assert (out.action, out.actor) == ("session.signed-out", "ann")


@pytest.mark.parametrize(
    ("name", "told"), [("ann", "ann"), ("my-password-by-mistake", "an unknown user")]
)
def test_a_failed_sign_in_tells_no_name_that_is_none(client: Client, name: str, told: str) -> None:
    User.objects.create_user("ann", password="correct")

    sign_in(client, username=name, password="wrong-canary")

    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.what) == ("session.refused", "", told)
    assert "canary" not in str(entry.details)


def test_an_address_is_believed_only_of_a_proxy(client: Client, settings: Any) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9, 198.51.100.1"}
    client.post("/accounts/login/", {"username": "a", "password": "b"}, headers=forged)
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    client.post("/accounts/login/", {"username": "a", "password": "b"}, headers=forged)

    behind, direct = AuditEntry.objects.all()
    assert (direct.address, behind.address) == ("127.0.0.1", "198.51.100.1")
