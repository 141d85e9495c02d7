"""`manage.py verify_audit`: whether the audit log is as it was written."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseError

from streams.audit.verifying import Known, Verdict, verify
from streams.management.quick import QuickCommand


class Command(QuickCommand):
    help = (
        "Reads the whole audit log and names what was altered, deleted, inserted, reordered or cut "
        "off. Exit status 1 if there is any, 2 if it cannot be told."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--expect",
            type=_known,
            metavar="NUMBER:DIGEST",
            help="an entry that must be there, as an earlier run has told it",
        )
        parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            verdict = verify(options["expect"])
        except DatabaseError as exc:
            # Its message may hold an address with a password.
            raise CommandError(
                f"The database cannot be read ({type(exc).__name__}). Is it there, and migrated?",
                returncode=2,
            ) from None
        if options["json"]:
            self.stdout.write(json.dumps(described(verdict), indent=2))
        else:
            for problem in verdict.problems:
                self.stdout.write(f"{problem.kind}: {problem.sentence}")
            count = len(verdict.problems)
            self.stdout.write(
                f"{verdict.entries} entries, {count} problem{'s' * (count != 1)}; the last one: "
                f"{verdict.number}:{verdict.digest}"
            )
        if not verdict.ok:
            raise SystemExit(1 if verdict.tampered else 2)


def _known(text: str) -> Known:
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != 64:
        raise ArgumentTypeError("expected NUMBER:DIGEST, as verify_audit has told it")
    return Known(int(number), digest)


def described(verdict: Verdict) -> dict[str, Any]:
    """What `--json` tells: stable."""
    return {
        "ok": verdict.ok,
        "entries": verdict.entries,
        "removed_for_age": verdict.trimmed,
        "last": {"number": verdict.number, "digest": verdict.digest},
        "problems": [
            {
                "kind": one.kind,
                "first": one.first,
                "last": one.last,
                "sentence": one.sentence,
            }
            for one in verdict.problems
        ],
    }
