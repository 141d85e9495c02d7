"""`manage.py trim_audit`: removes the oldest entries of the audit log."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from pydantic_core import PydanticCustomError

from streams.audit.trimming import BrokenError, trim
from streams.audit.verifying import verify
from streams.management.quick import QuickCommand
from streams.registry.spec import parse_duration


class Command(QuickCommand):
    help = (
        "Removes entries that are older than AGE, and records that it did. The others can still be "
        "verified. Removes nothing of a log that is not as it was written."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--older-than", required=True, metavar="AGE", help="such as 365d")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            older = parse_duration(options["older_than"])
        except PydanticCustomError as exc:
            raise CommandError(f"--older-than: {exc.message()}") from None
        if not verify().ok:
            raise CommandError("Something is wrong with the log. Run: manage.py verify_audit")
        try:
            count = trim(older)
        except BrokenError as exc:
            raise CommandError(str(exc)) from None
        self.stdout.write(f"removed {count}")
