"""`manage.py create_user`: an account, made or brought up to date."""

import os
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from streams.models import User


class Command(BaseCommand):
    help = (
        "Creates or updates a user. Groups are added, and made where they are missing. Without "
        "--password-env a new user has no password and can use tokens only."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", metavar="USERNAME")
        parser.add_argument("--password-env", metavar="NAME", help="variable with the password")
        parser.add_argument("--group", action="append", default=[], metavar="G")
        parser.add_argument("--staff", action="store_true", help="an operator of this portal")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        created = user is None
        user = user or User(username=options["username"])
        _set_password(user, options["password_env"], created=created)
        if options["staff"]:
            # Until there are roles, whoever operates the portal may do all of it.
            user.is_staff = user.is_superuser = True
        try:
            user.full_clean()
        except ValidationError as exc:
            raise CommandError("; ".join(exc.messages)) from None
        user.save()
        for name in options["group"]:
            user.groups.add(Group.objects.get_or_create(name=name)[0])
        self.stdout.write(f"{'created' if created else 'updated'} user {user.username}")
        if created and not user.has_usable_password():
            self.stderr.write("It has no password: it can use API tokens, and not sign in.")


def _set_password(user: User, variable: str | None, *, created: bool) -> None:
    if variable is None:
        if created:
            user.set_unusable_password()
        return
    password = os.environ.get(variable)
    if not password:
        raise CommandError(f"--password-env: {variable} is not set")
    if not user.check_password(password):
        user.set_password(password)
