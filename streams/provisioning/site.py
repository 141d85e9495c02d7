"""What the tasks of one run share: whom they ask, what they have found, how to take it back."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from django.conf import settings

from streams.access.addresses import address_policy
from streams.aws.account import Account
from streams.aws.calls import Calls
from streams.aws.functions import Function
from streams.models import Gateway, Kind, SecretFunction
from streams.net.addresses import AddressPolicy
from streams.origins import Target
from streams.provisioning.asking import Address, Direct
from streams.provisioning.problems import UnfitError
from streams.provisioning.request import Request
from streams.provisioning.undo import Undo
from streams.registry.spec import GatewaySpec
from streams.rotation.parts import calls

# Seconds between two looks at what AWS still carries out.
LOOK = 0.5


class Task(Protocol):
    """One result. Every method may raise, in sentences without a value."""

    @property
    def name(self) -> str: ...

    @property
    def proof(self) -> str:
        """What `prove` does, for those who are told beforehand; empty for nothing."""

    def missing(self) -> list[str]:
        """What is to be changed, in sentences; reads, and changes nothing."""

    def do(self) -> None:
        """Makes it so. What is there already stays; each change is noted in `Site.undo` before."""

    def prove(self) -> None:
        """Asks whether it works. Raises `UnfitError` where it does not."""


@dataclass
class Site:
    """`renew` is called before each call of AWS, and raises where there must be none.

    `value`, `header`, `url`, `status` and `gateway` are empty until a task has found them.
    """

    request: Request
    account: Account
    renew: Callable[[], None]
    say: Callable[[str], None]
    undo: Undo = field(default_factory=Undo)
    policy: AddressPolicy = field(default_factory=address_policy)
    value: str = field(default="", repr=False)
    # Number of the version in our database that has the value.
    version: int = 0
    header: str = ""
    variable: str = ""
    accepts: str = ""
    url: str = ""
    # What the function answers to the right value.
    status: int | None = None
    gateway: GatewaySpec | None = None

    @property
    def function(self) -> Function:
        wanted = self.request
        row = SecretFunction(region=wanted.region, role_arn=wanted.role_arn)
        return Function(calls(self.account, row, self.renew), wanted.function)

    @property
    def gateway_calls(self) -> Calls:
        wanted = self.request
        row = Gateway(region=wanted.region, role_arn=wanted.role_arn)
        return calls(self.account, row, self.renew)

    @property
    def direct(self) -> Direct:
        wanted = self.request
        qualified = f"{wanted.function}:{wanted.alias}" if wanted.alias else wanted.function
        target = Target(
            Kind.LAMBDA, "sigv4", function=qualified, region=wanted.region, role_arn=wanted.role_arn
        )
        return Direct(self.account, self.policy, target, self.header)

    def address(self, url: str) -> Address:
        return Address(self.policy, url, self.header)

    def pause(self, seconds: float = LOOK) -> None:
        self.renew()
        time.sleep(seconds)

    def until(self, reached: Callable[[], bool], otherwise: str) -> None:
        """Waits for what takes its time to reach everywhere. Raises `UnfitError(otherwise)`."""
        patience = settings.ROTATION_SETTLE + settings.ROTATION_PROPAGATION
        deadline = time.monotonic() + patience
        while not reached():
            if time.monotonic() > deadline:
                raise UnfitError(otherwise)
            self.pause()
