"""`manage.py export`: what exists in AWS, for Terraform or CloudFormation."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from streams.aws.failures import ControlError
from streams.management.quick import QuickCommand
from streams.models import Secret
from streams.provisioning import cloudformation, terraform
from streams.provisioning.facts import gather
from streams.provisioning.problems import ProvisioningError
from streams.rotation.engine import account
from streams.rotation.problems import RotationError

_FORMATS = {"terraform": terraform.render, "cloudformation": cloudformation.render}


class Command(QuickCommand):
    help = (
        "Prints what exists in AWS of the registry's functions and gateways, so that Terraform or "
        "CloudFormation can take it over as it is. No value of a secret is printed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", required=True, choices=list(_FORMATS))
        parser.add_argument("--secret", metavar="NAME", help="this secret's only")
        parser.add_argument("--region", help="what is there only")

    def handle(self, *args: Any, **options: Any) -> None:
        secrets = Secret.objects.order_by("name")
        if options["secret"]:
            secrets = secrets.filter(name=options["secret"])
            if not secrets:
                raise CommandError(f"There is no secret {options['secret']}.")
        try:
            facts = [
                fact
                for fact in gather(secrets, account())
                if options["region"] in (None, fact.place.region)
            ]
            if not facts:
                raise CommandError(
                    "The registry names no function and no gateway there. Run: manage.py provision"
                )
            self.stdout.write(_FORMATS[options["format"]](facts), ending="")
        except (ControlError, RotationError, ProvisioningError) as exc:
            raise CommandError(str(exc)) from None
