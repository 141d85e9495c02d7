"""What AWS makes of this process: whether it knows its keys, and how far apart the clocks are."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnectedError
from botocore.parsers import ResponseParserError

from streams.aws.account import Account, aws_code
from streams.aws.failures import UnavailableError, translated
from streams.net.errors import AwsCredentialsError

_OPERATION = "GetCallerIdentity"
_ASSUMED = re.compile(r"(arn:[a-z-]+):sts::(\d{12}):assumed-role/([^/]+)/.+")
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}
_UNKNOWN = {
    "AuthFailure", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId",
    "InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}  # fmt: skip


@dataclass(frozen=True)
class Caller:
    """Whether an identity can be used, and whose it is.

    `arn` is the user's or role's own, not that of a session of it, and lacks the path that a role
    may have; it is empty where AWS does not say. `missing` says why there is nothing to sign with.
    `refusal` is the code with which AWS refused, `assuming` whether it refused to let the role be
    assumed. `ahead` are the seconds by which our clock is ahead of AWS's, negative where it is
    behind; None where AWS did not tell the time.
    """

    missing: str = ""
    refusal: str = ""
    assuming: bool = False
    ahead: float | None = None
    arn: str = ""

    @property
    def expired(self) -> bool:
        """Whether AWS knows its keys, and takes them no longer."""
        return self.refusal in _EXPIRED

    @property
    def unknown(self) -> bool:
        """Whether AWS does not know its keys, or makes another signature of them."""
        return self.refusal in _UNKNOWN

    @property
    def usable(self) -> bool:
        """Whether something can be signed with it that AWS takes."""
        return not (self.missing or self.assuming or self.expired or self.unknown)


def look(account: Account, *, region: str, role_arn: str = "") -> Caller:
    """`GetCallerIdentity`, which needs no permission. Raises a `ControlError` that passes."""
    try:
        client = account.controller("sts", region=region, role_arn=role_arn)
        answer = client.get_caller_identity()
    except AwsCredentialsError as exc:
        return Caller(missing=str(exc))
    except (NotConnectedError, HTTPClientError, ResponseParserError) as exc:
        unavailable = UnavailableError(_OPERATION, type(exc).__name__)
    except BotoCoreError as exc:
        # Roles and profiles are only resolved when something is signed.
        return Caller(missing=f"AWS credentials cannot be had ({type(exc).__name__}).")
    except ClientError as exc:
        failure = translated(_OPERATION, exc)
        if not failure.passing:
            assuming = exc.operation_name.startswith("AssumeRole")
            return Caller("", aws_code(exc), assuming, _ahead(exc.response))
        unavailable = UnavailableError(_OPERATION, aws_code(exc))
    else:
        return Caller(ahead=_ahead(answer), arn=_own(str(answer.get("Arn", ""))))
    # Raised out here: AWS's own message is not to stand in a traceback.
    raise unavailable


def _own(arn: str) -> str:
    session = _ASSUMED.fullmatch(arn)
    return f"{session[1]}:iam::{session[2]}:role/{session[3]}" if session else arn


def _ahead(answer: Mapping[str, Any]) -> float | None:
    told = (answer.get("ResponseMetadata") or {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return time.time() - parsedate_to_datetime(told).timestamp()
    except ValueError:
        return None
