"""Who calls AWS, as AWS tells it, or whatever stands between."""

import pytest

from streams.aws import caller
from streams.aws.account import Account
from streams.aws.calls import Calls
from streams.aws.failures import UnavailableError
from tests.rotation.conftest import aws
from tests.rotation.refusing import RefusingAws

__all__ = ["aws"]


def test_a_page_that_is_no_answer_of_aws_is_none_at_all(aws: RefusingAws) -> None:
    # It has no POST, and says so by a page of HTML, which is no XML.
    with pytest.raises(UnavailableError) as told:
        caller.look(Account(), region="eu-central-1")
    with pytest.raises(UnavailableError):
        Calls(Account(), "eu-central-1")("sts", "GetCallerIdentity")

    assert "DOCTYPE" not in str(told.value)
    assert told.value.__context__ is None
