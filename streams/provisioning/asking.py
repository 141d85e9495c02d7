"""Asks the function itself, before and after everybody can."""

import asyncio
from dataclasses import dataclass

from streams.aws.account import Account
from streams.net import errors
from streams.net.addresses import AddressPolicy
from streams.net.client import Client
from streams.origins import Credential, Target, Wanted, build
from streams.provisioning.problems import UnfitError
from streams.rotation.probing import Verdict, nonsense, status_of, verdict_on
from streams.wire.ranges import Asked

# Seconds for one answer; a cold start is among them.
_PATIENCE = 20.0
_FIRST_BYTE = Asked(0, 0)
_UNSURE = (
    errors.BusyError,
    errors.BusyServerError,
    errors.FunctionError,
    errors.OriginTimeoutError,
    errors.UnreachableError,
    errors.BrokenError,
)


def wrong() -> dict[str, str | None]:
    """What must not be let in, by what it is called; None: no header at all."""
    return {
        "without the header": None,
        "with an empty header": "",
        "with a wrong value": nonsense(),
    }


@dataclass(frozen=True)
class Direct:
    """The function by a signed invocation, with the event that its URL would send."""

    account: Account
    policy: AddressPolicy
    target: Target
    header: str

    def verdict(self, value: str | None) -> Verdict:
        """Raises `UnfitError` where this portal may not invoke it."""
        return asyncio.run(self._asked(value))

    async def _asked(self, value: str | None) -> Verdict:
        client = Client(self.policy, head_timeout=_PATIENCE)
        credential = None if value is None else Credential(self.header, value)
        try:
            origin = build(client, self.account, self.target)
            opened = await origin.open(Wanted(range=_FIRST_BYTE), credential)
            opened.body.abort()
        except (errors.AwsDeniedError, errors.AwsCredentialsError):
            raise UnfitError(
                "This portal may not invoke the function, and so cannot ask whether it checks the "
                "secret. Allow it lambda:InvokeFunction on it."
            ) from None
        except errors.ForbiddenError:
            return Verdict.REFUSED
        except _UNSURE:
            return Verdict.UNSURE
        except errors.OriginError:
            # It was let in, whatever became of it then.
            return Verdict.ACCEPTED
        finally:
            await client.close()
        return Verdict.ACCEPTED


@dataclass(frozen=True)
class Address:
    """The function URL, or a gateway before it, as everybody reaches it."""

    policy: AddressPolicy
    url: str
    header: str = ""

    def status(self, value: str | None = None) -> int | None:
        """That of an answer; None where none comes."""
        fields = {} if value is None else {self.header: value}
        return asyncio.run(status_of(self.policy, self.url, fields))

    def verdict(self, value: str | None) -> Verdict:
        return verdict_on(self.status(value))
