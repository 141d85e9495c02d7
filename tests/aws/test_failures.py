"""What is told of a call that AWS refuses."""

import pytest
from botocore.exceptions import ClientError

from streams.aws.failures import DeniedError, translated


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException"])
def test_that_credentials_have_expired_is_told_as_that(code: str) -> None:
    answer = {
        "Error": {"Code": code, "Message": "The security token included in the request is expired"},
        "ResponseMetadata": {"HTTPStatusCode": 403},
    }

    told = translated("GetIntegration", ClientError(answer, "GetIntegration"))  # type: ignore[arg-type]

    assert isinstance(told, DeniedError)
    assert not told.passing
    assert str(told) == f"The credentials for AWS have expired (GetIntegration, {code})."
