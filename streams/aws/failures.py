"""Why a call of AWS's control plane did not do what was wanted.

ControlError
├── ThrottledError      too many calls (passing)
│   └── PacedError          so that there are not: not even made
├── ConflictError       another change is under way (passing)
├── StaleError          changed since it was read (passing)
├── UnavailableError    AWS failed, or did not answer: it may have happened (passing)
├── DeniedError         not allowed, or no credentials
│   └── ExpiredError        it was, and the credentials have expired
├── MissingError        there is no such function, API, stage, alias or secret
├── RejectedError       AWS refuses the request itself
├── EncryptionError     the key that a secret is encrypted with cannot be used
└── UnreadableError     the function's variables cannot be read, so that they cannot be kept

AWS's own messages are never repeated: that of a mapping without quotes bears the secret itself.
"""

import re
from typing import ClassVar

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
from botocore.parsers import ResponseParserError

from streams.net.errors import AwsCredentialsError

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,79}")


class ControlError(Exception):
    """`passing`: the same call may succeed later. `operation` and `aws_code` are AWS's names."""

    sentence: ClassVar[str] = "AWS did not do what was asked"
    passing: ClassVar[bool] = False

    def __init__(
        self, operation: str = "", aws_code: str = "", *, retry_after: float | None = None
    ) -> None:
        known = [word for word in (operation, aws_code) if _CODE.fullmatch(word)]
        told = f" ({', '.join(known)})" if known else ""
        super().__init__(f"{self.sentence}{told}.")
        self.operation = operation
        self.aws_code = aws_code
        self.retry_after = retry_after

    def concerns(self, what: str) -> None:
        """Its sentence begins with `what`, where there are several."""
        self.args = (f"{what}: {self}",)


class ThrottledError(ControlError):
    sentence = "AWS takes no more calls just now"
    passing = True


class PacedError(ThrottledError):
    sentence = "Other calls have their turn first, within AWS's limits"


class ConflictError(ControlError):
    sentence = "AWS is busy with another change of the same thing"
    passing = True


class StaleError(ControlError):
    sentence = "Somebody changed it since it was read"
    passing = True


class UnavailableError(ControlError):
    sentence = "AWS did not answer"
    passing = True


class DeniedError(ControlError):
    sentence = "AWS does not allow it"


class ExpiredError(DeniedError):
    sentence = "The credentials for AWS have expired"


class MissingError(ControlError):
    sentence = "AWS does not know it"


class RejectedError(ControlError):
    sentence = "AWS refuses the request"


class EncryptionError(ControlError):
    sentence = "AWS cannot use the key that the secret is encrypted with"


class UnreadableError(ControlError):
    sentence = "The function's variables cannot be read, and would be lost by writing them"


_BY_CODE: dict[str, type[ControlError]] = {
    "TooManyRequestsException": ThrottledError,
    "LimitExceededException": ThrottledError,
    "ThrottlingException": ThrottledError,
    "Throttling": ThrottledError,
    "ResourceConflictException": ConflictError,
    "ConflictException": ConflictError,
    "ResourceInUseException": ConflictError,
    # Somebody was quicker, or a call that was believed lost: the next look finds it.
    "ResourceExistsException": ConflictError,
    "PreconditionFailedException": StaleError,
    "ResourceNotFoundException": MissingError,
    "NotFoundException": MissingError,
    "AccessDeniedException": DeniedError,
    "AccessDenied": DeniedError,
    "UnrecognizedClientException": DeniedError,
    "InvalidClientTokenId": DeniedError,
    "ExpiredToken": ExpiredError,
    "ExpiredTokenException": ExpiredError,
    "TokenRefreshRequired": ExpiredError,
    "InvalidSignatureException": DeniedError,
    "DecryptionFailure": EncryptionError,
    "EncryptionFailure": EncryptionError,
    "ServiceException": UnavailableError,
    "InternalServiceError": UnavailableError,
}
_BY_STATUS: dict[int, type[ControlError]] = {
    401: DeniedError,
    403: DeniedError,
    404: MissingError,
    408: UnavailableError,
    409: ConflictError,
    412: StaleError,
    429: ThrottledError,
}


def translated(operation: str, exc: Exception) -> ControlError:
    """Our own error for one of botocore's."""
    if isinstance(exc, ClientError):
        return _of_answer(operation, exc)
    if isinstance(exc, NoCredentialsError | NoRegionError | AwsCredentialsError):
        return DeniedError(operation, type(exc).__name__)
    assert isinstance(exc, BotoCoreError | ResponseParserError)
    # Everything else is about the connection, or an answer that cannot be read.
    return UnavailableError(operation, type(exc).__name__)


def _of_answer(operation: str, exc: ClientError) -> ControlError:
    code = str(exc.response.get("Error", {}).get("Code", ""))
    status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status >= 500:
        return UnavailableError(operation, code)
    made = _BY_CODE.get(code) or _BY_STATUS.get(status) or RejectedError
    return made(operation, code, retry_after=_retry_after(exc))


def _retry_after(exc: ClientError) -> float | None:
    """Seconds, from the header or from API Gateway's `retryAfterSeconds`."""
    headers = exc.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    told = exc.response.get("retryAfterSeconds") or headers.get("retry-after")
    try:
        return max(0.0, float(str(told)))
    except ValueError:
        return None
