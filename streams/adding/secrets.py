"""A secret for a new endpoint: with the value that its function holds, or with a new one."""

import secrets
import time

from django.db import transaction
from django.utils.translation import gettext as _

from streams import audit
from streams.aws.account import Account
from streams.models import Accepts, Secret, SecretFunction, User
from streams.provisioning.function import SecretIsStored
from streams.provisioning.problems import StoppedError
from streams.provisioning.request import Request
from streams.provisioning.site import Site

# Seconds: somebody waits.
SECONDS = 15.0


def held(wanted: Request, account: Account) -> str:
    """The value that callers of the function must send already; empty where there is none.

    Raises `ProvisioningError` and `ControlError` where that cannot be told.
    """
    deadline = time.monotonic() + SECONDS

    def guard() -> None:
        if time.monotonic() > deadline:
            raise StoppedError(_("AWS does not answer in time."))

    site = Site(wanted, account, guard, lambda _: None)
    SecretIsStored(site).missing()
    return site.value


@transaction.atomic
def make(wanted: Request, value: str, *, by: User) -> Secret:
    """Stores it under a name that is free, with its function where one is named.

    `value` empty: a random one. Raises `ValidationError` where the value cannot be sent.
    """
    made = Secret.objects.create(name=wanted.secret, header=wanted.header)
    # base64url is legal in a header, a mapping and an environment alike.
    made.set_value(value or secrets.token_urlsafe(32))
    if wanted.function:
        SecretFunction.objects.create(
            secret=made,
            name=wanted.function,
            region=wanted.region,
            role_arn=wanted.role_arn,
            alias=wanted.alias,
            accepts=wanted.accepts or Accepts.TWO,
        )
    audit.record("secret.added", by=by, what=made.name)
    return made
