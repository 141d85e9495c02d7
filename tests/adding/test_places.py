"""What a pasted address names."""

import pytest

from streams.adding import places
from streams.adding.places import Place

FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:orders-export"


@pytest.mark.parametrize(
    ("text", "kind", "place"),
    [
        (FUNCTION, "lambda", Place("lambda", function=FUNCTION, region="eu-central-1")),
        (
            f" {FUNCTION}:live\n",
            "function-url",
            Place("function-url", function=FUNCTION, alias="live", region="eu-central-1"),
        ),
        # The kind follows from the address, where it can be no other.
        (FUNCTION, "s3", Place("function-url", function=FUNCTION, region="eu-central-1")),
        ("orders-export:live", "lambda", Place("lambda", function="orders-export", alias="live")),
        (
            "https://abc123.lambda-url.us-gov-west-1.on.aws/x?y=1",
            "http",
            Place(
                "function-url",
                url="https://abc123.lambda-url.us-gov-west-1.on.aws/x?y=1",
                region="us-gov-west-1",
            ),
        ),
        (
            "https://a1b2c3.execute-api.eu-west-1.amazonaws.com/prod/exports/orders",
            "gateway",
            Place(
                "gateway",
                url="https://a1b2c3.execute-api.eu-west-1.amazonaws.com/prod/exports/orders",
                region="eu-west-1",
                api_id="a1b2c3",
                stage="prod",
                path="/exports/orders",
            ),
        ),
        ("s3://exports/a/b c.csv", "http", Place("s3", bucket="exports", key="a/b c.csv")),
        ("arn:aws:s3:::exports/a.csv", "s3", Place("s3", bucket="exports", key="a.csv")),
        (
            "https://exports.s3.eu-central-1.amazonaws.com/a/b%20c.csv",
            "s3",
            Place("s3", bucket="exports", key="a/b c.csv", region="eu-central-1"),
        ),
        (
            "https://s3.eu-central-1.amazonaws.com/exports/a.csv",
            "s3",
            Place("s3", bucket="exports", key="a.csv", region="eu-central-1"),
        ),
        (
            "https://data.example.com/a.csv",
            "http",
            Place("http", url="https://data.example.com/a.csv"),
        ),
        ("https://127.0.0.1:8/f/", "function-url", Place("function-url", url="https://127.0.0.1:8/f/")),
    ],
)  # fmt: skip
def test_an_address_tells_what_it_names(text: str, kind: str, place: Place) -> None:
    assert places.parse(text, kind) == place


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "http"),
        ("orders-export", "http"),
        ("ftp://example.com/a", "http"),
        ("javascript:alert(1)", "http"),
        ("https://[::1/", "http"),
        ("https:///a", "http"),
        ("s3://exports", "s3"),
        ("s3:///a", "s3"),
        ("arn:aws:iam::123456789012:role/a", "lambda"),
        ("https://example.com/a", "s3"),
        ("https://example.com/a", "lambda"),
        (f"{FUNCTION}:{'a' * 129}", "lambda"),
    ],
)
def test_what_names_nothing_is_refused_with_what_is_expected(text: str, kind: str) -> None:
    with pytest.raises(places.UnknownPlaceError, match=r"\w+ \w+.*\.$"):
        places.parse(text, kind)
