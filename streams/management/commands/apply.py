"""`manage.py apply`: makes the registry what a file says."""

import contextlib
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from streams.aws.failures import ControlError
from streams.management.quick import QuickCommand
from streams.models import Secret
from streams.models.fields import UndecryptableError
from streams.registry.apply import Change, apply, touched
from streams.registry.parse import LARGEST, RegistryError, parse
from streams.rotation import elsewhere, engine
from streams.rotation.problems import UnfitError


class Command(QuickCommand):
    help = (
        "Makes the registry what FILE says, wholly or not at all. Prints one line per object: "
        "created, changed (which fields), unchanged, removed. Exit status 1 on an error; nothing "
        "has changed then."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="YAML; - for standard input")
        parser.add_argument("--dry-run", action="store_true", help="say what would change")
        parser.add_argument("--prune", action="store_true", help="remove what FILE does not name")
        parser.add_argument(
            "--examine",
            action="store_true",
            help="have the doctor look at what was changed and tell what it finds",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            spec = parse(_read(options["file"]))
            changes = apply(spec, dry_run=options["dry_run"], prune=options["prune"])
        except RegistryError as exc:
            problems = "\n".join(f"  {problem}" for problem in exc.problems)
            raise CommandError(f"{options['file']}: nothing was changed\n{problems}") from None
        for change in changes:
            self.stdout.write(str(change))
        if not options["dry_run"]:
            for name in [secret.name for secret in spec.secrets if secret.stored_at()]:
                self._put(Secret.objects.get(name=name))
            if options["examine"]:
                self._examine(changes)

    def _examine(self, changes: list[Change]) -> None:
        slugs = touched(changes).order_by("slug").values_list("slug", flat=True)
        # It ends with 1 where it found errors; the registry is what the file says even so.
        with contextlib.suppress(SystemExit):
            if slugs:
                call_command("doctor", *slugs, stdout=self.stdout, stderr=self.stderr)

    def _put(self, secret: Secret) -> None:
        """What is stored here is to stand in Secrets Manager too. The next rotation sees to it."""
        try:
            left = elsewhere.put_current(secret, engine.account())
        except (ControlError, UnfitError, UndecryptableError) as exc:
            left = str(exc)
        if left:
            self.stderr.write(f"secret {secret.name} is not in Secrets Manager as here: {left}")


def _read(name: str) -> str:
    try:
        if name == "-":
            return sys.stdin.read(LARGEST + 1)
        with Path(name).open(encoding="utf-8") as file:
            return file.read(LARGEST + 1)
    except OSError as exc:
        raise CommandError(f"{name}: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{name}: expected UTF-8") from None
