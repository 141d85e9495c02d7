"""A signature for Lambda is made for a function URL, and for nothing else."""

import asyncio

import pytest

from streams.aws.account import Account
from streams.net.addresses import AddressPolicy
from streams.net.client import Client
from streams.net.errors import UrlUnknownError
from streams.origins import Target, Wanted, build
from streams.origins.function_url import may_be_signed

AWS = "https://lambda.eu-central-1.amazonaws.com"
STAND_IN = "http://127.0.0.1:4566"
CONFIGURATION = "/2015-03-31/functions/orders/configuration"


@pytest.mark.parametrize(
    "url",
    [
        "https://abc123.lambda-url.eu-central-1.on.aws/",
        "https://abc123.lambda-url.eu-central-1.on.aws/2026-01-31/orders.csv",
        "https://abc123.lambda-url.cn-north-1.on.amazonwebservices.com.cn/a",
        "http://abc123.lambda-url.eu-central-1.localhost.localstack.cloud:4566/",
        f"{STAND_IN}/_lambda-url/abc123/",
        "https://example.com/",
    ],
)
def test_a_function_url_may_be_signed(url: str) -> None:
    assert may_be_signed(url)


@pytest.mark.parametrize(
    "url",
    [
        AWS + CONFIGURATION,
        f"{AWS}/",
        "https://LAMBDA.eu-central-1.amazonaws.com./a",
        "https://lambda.eu-central-1.api.aws/a",
        "https://vpce-1-2.lambda.eu-central-1.vpce.amazonaws.com/a",
        f"{STAND_IN}{CONFIGURATION}",
        f"{STAND_IN}/{CONFIGURATION}",
        f"{STAND_IN}/a/..{CONFIGURATION}",
        f"{STAND_IN}/%32015-03-31/functions/",
        f"{STAND_IN}/.%2f2015-03-31/functions/",
        # Whoever has it gets the signature, and can send it on.
        f"https://abc123.lambda-url.example.com{CONFIGURATION}",
    ],
)
def test_lambdas_own_api_may_not(url: str) -> None:
    """It tells what is in the environment of functions: their secrets."""
    assert not may_be_signed(url)


@pytest.mark.parametrize("head_only", [False, True])
def test_nothing_is_sent_there_whatever_is_stored(head_only: bool) -> None:
    async def opened() -> None:
        client = Client(AddressPolicy(), head_timeout=1)
        url = AWS + CONFIGURATION
        target = Target("function-url", auth="sigv4", url=url, region="eu-central-1")
        try:
            await build(client, Account(), target).open(Wanted(head_only=head_only), None)
        finally:
            await client.close()

    with pytest.raises(UrlUnknownError, match="no function URL"):
        asyncio.run(opened())
