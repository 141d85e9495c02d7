"""`manage.py create_user`: an account, made or brought up to date."""

import os
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.db import transaction

from streams import audit
from streams.access.roles import Role
from streams.management.quick import QuickCommand
from streams.models import User


class Command(QuickCommand):
    help = (
        "Creates or updates a user. Groups are added, and made where they are missing. Without "
        "--password-env a new user has no password and can use tokens only."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", metavar="USERNAME")
        parser.add_argument("--password-env", metavar="NAME", help="variable with the password")
        parser.add_argument("--group", action="append", default=[], metavar="G")
        roles = [role.value for role in Role]
        parser.add_argument("--role", choices=roles, help="of the portal's staff")
        parser.add_argument("--staff", action="store_true", help="the same as --role administrator")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        for name in options["group"]:
            _check_group(name)
        user = User.objects.filter(username=options["username"]).first()
        created = user is None
        user = user or User(username=options["username"])
        role = options["role"] or (Role.ADMINISTRATOR if options["staff"] else None)
        changed = ["password"] if _set_password(user, options["password_env"], created) else []
        user.is_staff |= role is not None
        try:
            user.full_clean()
        except ValidationError as exc:
            raise CommandError("; ".join(exc.messages)) from None
        user.save()
        if role:
            user.groups.remove(*Group.objects.filter(name__in=Role))
        groups = [*options["group"], *([role] if role else [])]
        for name in groups:
            user.groups.add(Group.objects.get_or_create(name=name)[0])
        audit.record(
            "user.added" if created else "user.changed",
            by=None,
            what=user.username,
            details={"changes": ", ".join([*changed, *(f"group {name}" for name in groups)])},
        )
        self.stdout.write(f"{'created' if created else 'updated'} user {user.username}")
        if created and not user.has_usable_password():
            self.stderr.write("It has no password: it can use API tokens, and not sign in.")


def _check_group(name: str) -> None:
    try:
        Group(name=name).clean_fields()
    except ValidationError as exc:
        raise CommandError(f"--group: {'; '.join(exc.messages)}") from None


def _set_password(user: User, variable: str | None, created: bool) -> bool:
    """Whether it has another one than before."""
    if variable is None:
        if created:
            user.set_unusable_password()
        return False
    password = os.environ.get(variable)
    if not password:
        raise CommandError(f"--password-env: {variable} is not set")
    if user.check_password(password):
        return False
    user.set_password(password)
    return True
