"""Calls of AWS's control plane, from one place: region, role, time-outs, and our own errors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from streams.aws.account import Account
from streams.aws.failures import ThrottledError, translated
from streams.net.errors import AwsCredentialsError


def _nothing(_: str) -> None:
    """No rate to keep to, and no lease."""


def _nobody(_operation: str, _seconds: float) -> None:
    """Nobody else to tell."""


@dataclass(frozen=True)
class Calls:
    """`before` hears the operation's name before each call, and may raise to prevent it.

    `throttled` hears of one that AWS has refused for that reason, and for how many seconds it wants
    no more.
    """

    account: Account
    region: str
    role_arn: str = ""
    before: Callable[[str], None] = _nothing
    throttled: Callable[[str, float], None] = _nobody

    def __call__(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one attempt. Raises a `ControlError`."""
        self.before(operation)
        try:
            client = self.account.controller(service, region=self.region, role_arn=self.role_arn)
            answer: dict[str, Any] = getattr(client, _method(operation))(**parameters)
        except (ClientError, BotoCoreError, ResponseParserError, AwsCredentialsError) as exc:
            failure = translated(operation, exc)
        else:
            return answer
        if isinstance(failure, ThrottledError) and failure.retry_after:
            self.throttled(operation, failure.retry_after)
        # Raised out here: with AWS's error as its context, a traceback would repeat the message.
        raise failure


def _method(operation: str) -> str:
    """boto's name: `update_function_configuration` of `UpdateFunctionConfiguration`."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in operation).lstrip("_")
