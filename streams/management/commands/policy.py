"""`manage.py policy`: the least that AWS must allow this portal, for what is registered."""

import json
import re
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from streams.adding import least
from streams.aws.account import default_region
from streams.aws.identity import partition
from streams.doctor.needs import Owner, Registered
from streams.management.quick import QuickCommand
from streams.models import Endpoint, Gateway, Secret, SecretFunction

_ACCOUNT = re.compile(r"[0-9]{12}")


class Command(QuickCommand):
    help = (
        "Prints the IAM policy with the least that the worker's identity needs for all that is "
        "registered: to rotate and to fetch. Asks AWS nothing, and changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", help="its number; with --role it is the role's")
        parser.add_argument("--region", default="", help="of what names none; boto's own if absent")
        parser.add_argument(
            "--web", action="store_true", help="for the web process, which rotates nothing"
        )
        parser.add_argument(
            "--role", default="", metavar="ARN", help="for a role that the registry names"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        owner = _owner(options)
        registered = Registered(
            functions=list(SecretFunction.objects.order_by("pk")),
            gateways=list(Gateway.objects.order_by("pk")),
            endpoints=list(Endpoint.objects.filter(enabled=True).order_by("slug")),
            web=options["web"],
        )
        places = [secret.stored_at() for secret in Secret.objects.order_by("name")]
        found = least.policy(owner, registered, [one for one in places if one is not None])
        if found is None:
            raise CommandError("Nothing that is registered needs this identity to be allowed.")
        text = json.dumps(found, indent=2)
        self.stdout.write(text)
        if ":FUNCTION" in text:
            self.stderr.write("Put the functions of URLs that are signed for in place of FUNCTION.")


def _owner(options: dict[str, Any]) -> Owner:
    role, region = options["role"], options["region"] or default_region()
    account = role.split(":")[4] if role.count(":") >= 5 else options["account"] or ""
    if role and (not role.startswith("arn:") or not _ACCOUNT.fullmatch(account)):
        raise CommandError("--role: the ARN of a role is wanted.", returncode=2)
    if not _ACCOUNT.fullmatch(account):
        raise CommandError("--account: the twelve digits of the account are wanted.", returncode=2)
    if not region:
        raise CommandError("--region: none is set for this portal either.", returncode=2)
    return Owner(role, partition(region), account, region)
