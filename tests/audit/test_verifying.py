"""What somebody with the database in hand may do to the log is named."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django.fixtures import Settings

from streams import audit
from streams.audit import chain, keys, protection
from streams.audit.verifying import Known, Verdict, verify
from streams.models import AuditEntry, AuditHead

pytestmark = pytest.mark.django_db

TABLE, HEAD = "streams_auditentry", "streams_audithead"


@pytest.fixture(autouse=True)
def _ten_entries() -> None:
    for number in range(1, 11):
        audit.record("test.ran", by=None, what=f"run {number}", details={"n": str(number)})


def by_hand(*statements: str) -> None:
    """As somebody does who owns the tables, and does not know the key."""
    protection.lift()
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    protection.protect()


def told(verdict: Verdict) -> list[tuple[str, int | None, int | None]]:
    return [(str(one.kind), one.first, one.last) for one in verdict.problems]


def test_what_is_whole_is_whole() -> None:
    verdict = verify()

    assert (verdict.ok, verdict.entries, verdict.number) == (True, 10, 10)
    assert verdict.digest == AuditEntry.objects.get(number=10).digest


@pytest.mark.parametrize(
    "change",
    [
        "what = 'run 99'", "actor = 'ben'", "action = 'a.b'", "how = 'web'", "address = ''",
        "details = '{}'", "time = '2020-01-01 00:00:00'", "time = '2020-13-77 00:00:00'",
        f"previous = '{'0' * 64}'", "key_id = 'x'", f"digest = '{'0' * 64}'",
    ],
)  # fmt: skip
def test_an_altered_row_is_named(change: str) -> None:
    if connection.vendor == "postgresql" and "13-77" in change:
        pytest.skip("PostgreSQL has no such time")
    by_hand(f"UPDATE {TABLE} SET {change} WHERE number = 4")

    verdict = verify()

    assert told(verdict)[0] == ("altered", 4, 4)
    assert verdict.tampered


def test_a_forged_seal_is_named() -> None:
    by_hand(f"UPDATE {TABLE} SET seal = '{'0' * 64}' WHERE number = 4")

    assert told(verify()) == [("inserted", 4, 4)]


def test_deleted_rows_are_named() -> None:
    by_hand(f"DELETE FROM {TABLE} WHERE number IN (4, 5)")

    assert told(verify()) == [("deleted", 4, 5)]


def test_the_first_rows_are_missed_too() -> None:
    by_hand(f"DELETE FROM {TABLE} WHERE number < 3")

    assert told(verify()) == [("deleted", 1, 2)]


def test_reordered_rows_are_named() -> None:
    by_hand(
        f"UPDATE {TABLE} SET number = 99 WHERE number = 4",
        f"UPDATE {TABLE} SET number = 4 WHERE number = 5",
        f"UPDATE {TABLE} SET number = 5 WHERE number = 99",
    )

    assert told(verify()) == [("reordered", 4, 4), ("reordered", 5, 5)]


def test_deleted_and_closed_up_is_reordered() -> None:
    by_hand(
        f"DELETE FROM {TABLE} WHERE number = 4",
        *(f"UPDATE {TABLE} SET number = {n - 1} WHERE number = {n}" for n in range(5, 11)),
        f"UPDATE {HEAD} SET number = 9",
    )

    verdict = verify()

    assert told(verdict)[:3] == [("head", None, None), ("reordered", 4, 4), ("reordered", 5, 5)]


@pytest.mark.parametrize("also", [None, f"UPDATE {HEAD} SET number = 8"])
def test_rows_cut_off_at_the_end_are_missed(also: str | None) -> None:
    by_hand(f"DELETE FROM {TABLE} WHERE number > 8", *([also] if also else []))

    verdict = verify()

    assert verdict.tampered
    assert told(verdict)[0] == (("truncated", 9, 10) if also is None else ("head", None, None))


def test_a_row_that_was_added_by_hand_is_named() -> None:
    columns = "time, actor, how, address, action, what, details, previous, key_id, digest, seal"
    copied = f"INSERT INTO {TABLE} (number, {columns}) SELECT 11, {columns} FROM {TABLE}"
    by_hand(f"{copied} WHERE number = 3")

    assert told(verify()) == [("inserted", 11, 11)]


def rewritten(first: int) -> None:
    """All digests and links from there on made to fit, and the seals copied."""
    previous = AuditEntry.objects.get(number=first - 1).digest
    statements = []
    for entry in AuditEntry.objects.filter(number__gte=first).order_by("number"):
        entry.previous = previous
        entry.what += " forged"
        previous = chain.digest(entry)
        statements.append(
            f"UPDATE {TABLE} SET what = '{entry.what}', previous = '{entry.previous}', "
            f"digest = '{previous}' WHERE number = {entry.number}"
        )
    by_hand(*statements, f"UPDATE {HEAD} SET digest = '{previous}'")


def test_a_chain_that_was_made_anew_without_the_key_is_named() -> None:
    rewritten(9)

    assert told(verify()) == [("head", None, None), ("inserted", 9, 9), ("inserted", 10, 10)]


def test_without_its_head_the_log_goes_on_and_says_so() -> None:
    by_hand(f"DELETE FROM {HEAD}", f"DELETE FROM {TABLE} WHERE number > 8")
    assert told(verify()) == [("head", None, None)]

    audit.record("test.ran", by=None, what="run 11")

    assert told(verify()) == [("broken", 9, 9)]
    assert AuditEntry.objects.get(number=10).what == "run 11"


def test_a_forged_head_is_told_for_ever() -> None:
    by_hand(f"DELETE FROM {TABLE} WHERE number > 8")
    last = AuditEntry.objects.get(number=8)
    by_hand(f"UPDATE {HEAD} SET number = 8, digest = '{last.digest}'")

    audit.record("test.ran", by=None, what="run 11")

    assert told(verify()) == [("broken", 9, 9)]


def test_missing_triggers_are_told_and_harmless() -> None:
    protection.lift()

    verdict = verify()

    assert told(verdict) == [("unprotected", None, None)]
    assert verdict.ok


def test_an_entry_that_was_kept_elsewhere_is_missed() -> None:
    """Against somebody who plays back an older database, keys and all."""
    known = AuditEntry.objects.get(number=10)
    expected = Known(10, known.digest)
    assert verify(expected).ok

    by_hand(f"DELETE FROM {TABLE}", f"DELETE FROM {HEAD}")
    for number in range(10):
        audit.record("test.ran", by=None, what=f"another run {number}")

    assert verify().ok
    assert told(verify(expected)) == [("altered", 10, 10)]
    assert told(verify(Known(11, known.digest))) == [("deleted", 11, 11)]


def new_key() -> str:
    return base64.urlsafe_b64encode(AuditHead.objects.get().seal[:32].encode()).decode()


def test_old_entries_are_vouched_for_when_their_key_is_gone(settings: Settings) -> None:
    old, new = settings.ENCRYPTION_KEYS, new_key()
    settings.ENCRYPTION_KEYS = [new, *old]
    call_command("rekey", stdout=StringIO())
    settings.ENCRYPTION_KEYS = [new]
    assert verify().ok
    entry = AuditEntry.objects.get(number=11)
    assert (entry.action, entry.details["audit log"]) == ("secrets.rekeyed", "whole")

    rewritten(4)

    # Which of them cannot be told any more, but that somebody did it can.
    assert told(verify())[-1] == ("inserted", 11, 11)


def test_without_any_of_its_keys_nothing_can_be_told(settings: Settings) -> None:
    settings.ENCRYPTION_KEYS = [new_key()]

    verdict = verify()

    assert told(verdict) == [("unknown-key", None, None), ("unknown-key", 1, 10)]
    assert (verdict.ok, verdict.tampered) == (False, False)


def test_keys_differ_from_those_that_encrypt(settings: Settings) -> None:
    raw = base64.urlsafe_b64decode(settings.ENCRYPTION_KEYS[0])
    derived = keys._keys()[keys.newest()]

    assert derived != raw
    assert derived not in {raw[:16], raw[16:]}
    assert len(keys.newest()) == 12


def run(*options: str) -> tuple[int, Any]:
    out = StringIO()
    try:
        call_command("verify_audit", *options, stdout=out)
    except SystemExit as exc:
        return int(str(exc.code)), out.getvalue()
    except CommandError as exc:
        return exc.returncode, str(exc)
    return 0, out.getvalue()


def test_the_command_tells_by_its_exit_status(settings: Settings) -> None:
    code, text = run("--json")
    found = json.loads(text)
    last = AuditEntry.objects.get(number=10)
    assert (code, found["ok"], found["entries"]) == (0, True, 10)
    assert found["last"] == {"number": 10, "digest": last.digest}
    assert run("--expect", f"10:{last.digest}")[0] == 0
    assert run("--expect", f"9:{last.digest}")[0] == 1

    own, settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS, [new_key()]
    assert run()[0] == 2

    settings.ENCRYPTION_KEYS = own
    by_hand(f"UPDATE {TABLE} SET what = 'x' WHERE number = 4")
    code, text = run()
    assert code == 1
    assert "altered: Entry 4 was altered after it was written." in text
    (problem,) = json.loads(run("--json")[1])["problems"]
    assert (problem["kind"], problem["first"], problem["last"]) == ("altered", 4, 4)


def test_reading_it_takes_the_same_few_queries(
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    with django_assert_max_num_queries(6):
        verify()


def test_old_entries_are_trimmed_and_the_rest_verified() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    out = StringIO()
    old = AuditEntry.objects.get(number=6).time - timedelta(days=400)
    aged(6, old)

    call_command("trim_audit", "--older-than", "365d", stdout=out)

    assert out.getvalue() == "removed 6\n"
    verdict = verify()
    assert (verdict.ok, verdict.trimmed, verdict.entries, verdict.number) == (True, 6, 5, 11)
    entry = AuditEntry.objects.get(number=11)
    assert (entry.action, entry.what) == ("audit.trimmed", "entries up to 6")
    assert protection.is_whole()
    by_hand(f"DELETE FROM {TABLE} WHERE number = 7")
    assert told(verify()) == [("deleted", 7, 7)]


def aged(last: int, time: Any) -> None:
    """The log as if its first entries were from then."""
    entries = list(AuditEntry.objects.order_by("number"))
    previous = chain.GENESIS
    for entry in entries:
        entry.time = time if entry.number <= last else entry.time
        entry.previous = previous
        chain.seal(entry)
        previous = entry.digest
    protection.lift()
    AuditEntry.objects.all()._raw_delete(using="default")
    AuditEntry.objects.bulk_create(entries)
    protection.protect()
    head = AuditHead.objects.get()
    head.digest = previous
    chain.seal_head(head)
    head.save()


def test_nothing_is_trimmed_of_a_log_that_is_not_whole() -> None:
    aged(6, AuditEntry.objects.get(number=6).time - timedelta(days=400))
    by_hand(f"UPDATE {TABLE} SET what = 'x' WHERE number = 4")

    with pytest.raises(CommandError, match="verify_audit"):
        call_command("trim_audit", "--older-than", "365d")

    assert AuditEntry.objects.count() == 10
