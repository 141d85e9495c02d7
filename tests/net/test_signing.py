"""Our signatures are botocore's, to the letter, for whatever URL the portal sends."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from streams.net.signing import Keys, Scope, presigned, signed
from streams.origins.http import signable, with_query

KEYS = Keys("AKIDEXAMPLE", "the-secret-key-of-tests")
SESSION = Keys("ASIAEXAMPLE", "the-secret-key-of-tests", "the-session-token/+=of-tests")
SERVICES = ["lambda", "execute-api", "s3"]


def botocores(
    method: str, url: str, fields: Mapping[str, str], *, keys: Keys, scope: Scope, body: bytes
) -> str:
    """The signature that botocore makes over the same request at the same time."""
    names = _stated(fields)["SignedHeaders"].split(";")
    kept = {name: value for name, value in fields.items() if name.lower() in names}
    request = AWSRequest(method=method, url=url, headers=kept, data=body)
    request.context["timestamp"] = fields["x-amz-date"]
    kind = S3SigV4Auth if scope.service == "s3" else SigV4Auth
    credentials = Credentials(keys.access_key, keys.secret_key, keys.token or None)
    auth = kind(credentials, scope.service, scope.region)
    canonical = auth.canonical_request(request)
    signature: str = auth.signature(auth.string_to_sign(request, canonical), request)
    return signature


def _stated(fields: Mapping[str, str]) -> dict[str, str]:
    authorization = next(value for name, value in fields.items() if name == "Authorization")
    return dict(re.findall(r"(\w+)=([^, ]+)", authorization))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PATHS = st.lists(st.sampled_from(["a", "..", ".", "", "a b", "%2F", "ü", ";v=1", "*", "~", "+"]))
QUERIES = st.lists(st.tuples(TEXT, TEXT), max_size=5).map(
    lambda pairs: "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
)


@pytest.mark.parametrize("service", SERVICES)
@given(
    path=PATHS.map("/".join),
    query=QUERIES | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
    body=st.binary(max_size=50),
    keys=st.sampled_from([KEYS, SESSION]),
)
@example(path="a//b/../c", query="a=&a&b=+%20", body=b"", keys=KEYS)
@example(path="exports/2026;final.csv", query="x=~%7E", body=b"{}", keys=SESSION)
def test_any_request_is_signed_as_botocore_signs_it(
    service: str, path: str, query: str, body: bytes, keys: Keys
) -> None:
    scope = Scope(service, "eu-central-1")
    url = signable(with_query(f"https://host.example/{path}", query))

    fields = signed("GET", url, {"Range": "bytes=0-9"}, keys=keys, scope=scope, body=body)

    expected = botocores("GET", url, fields, keys=keys, scope=scope, body=body)
    assert _stated(fields)["Signature"] == expected


@given(key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
@example(key="//a//b/../c;d=1")
def test_any_key_of_an_object_is_signed_as_botocore_signs_it(key: str) -> None:
    url = f"https://bucket.s3.eu-central-1.amazonaws.com/{quote(key, safe='/-_.~')}?versionId=a.b"
    scope = Scope("s3", "eu-central-1")

    fields = signed("GET", url, {}, keys=KEYS, scope=scope)

    assert _stated(fields)["Signature"] == botocores(
        "GET", url, fields, keys=KEYS, scope=scope, body=b""
    )


def test_a_session_token_is_sent_and_signed() -> None:
    fields = signed(
        "GET", "https://host.example/", {}, keys=SESSION, scope=Scope("lambda", "eu-central-1")
    )

    sent = {name.lower(): value for name, value in fields.items()}
    assert sent["x-amz-security-token"] == SESSION.token
    assert "x-amz-security-token" in _stated(fields)["SignedHeaders"]


def test_conditions_travel_beside_the_signature() -> None:
    given = {"Range": "bytes=0-9", "If-Match": '"v1"', "User-Agent": "Spillway"}

    fields = signed(
        "GET", "https://host.example/", given, keys=KEYS, scope=Scope("s3", "eu-central-1")
    )

    assert given.items() <= fields.items()
    assert not {"range", "if-match", "user-agent"} & set(
        _stated(fields)["SignedHeaders"].split(";")
    )


def test_keys_show_no_secret() -> None:
    assert SESSION.secret_key not in repr(SESSION)
    assert SESSION.token not in repr(SESSION)


def test_a_presigned_url_is_for_one_object_and_some_seconds() -> None:
    url = presigned(
        "https://s3.eu-central-1.amazonaws.com/exports/a.csv?versionId=7",
        {"response-content-type": "text/csv; charset=utf-8"},
        keys=SESSION,
        region="eu-central-1",
        seconds=60,
    )

    query = parse_qs(urlsplit(url).query)
    assert urlsplit(url).path == "/exports/a.csv"
    assert query["X-Amz-Expires"] == ["60"]
    assert query["versionId"] == ["7"]
    assert query["response-content-type"] == ["text/csv; charset=utf-8"]
    assert query["X-Amz-SignedHeaders"] == ["host"]
    assert SESSION.secret_key not in url
