"""`manage.py create_token`: an API token, shown this once."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone
from pydantic_core import PydanticCustomError

from streams import audit
from streams.access import tokens
from streams.management.quick import QuickCommand
from streams.models import User
from streams.registry.spec import parse_duration


class Command(QuickCommand):
    help = "Prints a new API token, alone on standard output. It cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", metavar="USERNAME")
        parser.add_argument("--name", default="", metavar="TEXT", help="what it is for")
        parser.add_argument("--expires", metavar="30d", help="how long it lasts; absent: for ever")

    def handle(self, *args: Any, **options: Any) -> None:
        expires_at = None
        if options["expires"]:
            try:
                expires_at = timezone.now() + parse_duration(options["expires"])
            except PydanticCustomError as exc:
                raise CommandError(f"--expires: {exc.message()}") from None
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(
                f"There is no user {options['username']}. Run: manage.py create_user"
            )
        with transaction.atomic():
            token = tokens.issue(user, name=options["name"][:100], expires_at=expires_at)
            audit.record("token.added", by=None, what=f"{tokens.key_of(token)} of {user}")
        self.stdout.write(token)
