"""Triggers by which the database itself refuses to change what is written.

Whoever owns the tables can take them away; `verifying` then finds what was done.
"""

from typing import Any

from django.db import connection

ENTRIES, HEAD = "streams_auditentry", "streams_audithead"
_REFUSAL = "the audit log is only ever added to"

# By vendor: each trigger's table, name, and how it is made.
_POSTGRESQL_FUNCTION = f"""
CREATE OR REPLACE FUNCTION streams_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$
"""
_REFUSE = "EXECUTE FUNCTION streams_audit_refuse()"
_RAISE = f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
_TRIGGERS = {
    "postgresql": [
        (
            ENTRIES,
            "audit_no_change",
            f"BEFORE UPDATE OR DELETE ON {ENTRIES} FOR EACH ROW {_REFUSE}",
        ),
        (ENTRIES, "audit_no_truncate", f"BEFORE TRUNCATE ON {ENTRIES} {_REFUSE}"),
        (HEAD, "audit_head_stays", f"BEFORE DELETE ON {HEAD} FOR EACH ROW {_REFUSE}"),
        (HEAD, "audit_head_no_truncate", f"BEFORE TRUNCATE ON {HEAD} {_REFUSE}"),
        (
            HEAD,
            "audit_head_goes_on",
            f"BEFORE UPDATE ON {HEAD} FOR EACH ROW WHEN (NEW.number < OLD.number) {_REFUSE}",
        ),
    ],
    "sqlite": [
        (ENTRIES, "audit_no_update", f"BEFORE UPDATE ON {ENTRIES} {_RAISE}"),
        (ENTRIES, "audit_no_delete", f"BEFORE DELETE ON {ENTRIES} {_RAISE}"),
        (HEAD, "audit_head_stays", f"BEFORE DELETE ON {HEAD} {_RAISE}"),
        (
            HEAD,
            "audit_head_goes_on",
            f"BEFORE UPDATE ON {HEAD} WHEN NEW.number < OLD.number {_RAISE}",
        ),
    ],
}


def protect(**_: Any) -> None:
    """Makes the triggers that are missing. For `post_migrate`: a table may have been made anew."""
    there = connection.introspection.table_names()
    if not {ENTRIES, HEAD} <= set(there):
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL_FUNCTION)
        for table, name, made in _missing():
            cursor.execute(_drop(table, name))
            cursor.execute(f"CREATE TRIGGER {name} {made}")


def lift() -> None:
    """Takes them away, until the transaction is rolled back or `protect` is called."""
    with connection.cursor() as cursor:
        for table, name, _ in _TRIGGERS[connection.vendor]:
            cursor.execute(_drop(table, name))


def _drop(table: str, name: str) -> str:
    of = f" ON {table}" if connection.vendor == "postgresql" else ""
    return f"DROP TRIGGER IF EXISTS {name}{of}"


def is_whole() -> bool:
    """Whether all of them are there."""
    return not _missing()


def _missing() -> list[tuple[str, str, str]]:
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    if connection.vendor == "postgresql":
        # One that is switched off is as good as none.
        query = "SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D'"
    with connection.cursor() as cursor:
        cursor.execute(query)
        there = {row[0] for row in cursor.fetchall()}
    return [one for one in _TRIGGERS[connection.vendor] if one[1] not in there]
