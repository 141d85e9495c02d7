"""What *Add an endpoint* reads of AWS: the rest of an address, and never a value."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest

from streams.adding import reading
from streams.adding.places import Place, parse
from streams.models import Secret, SecretFunction
from streams.rotation.engine import account
from tests.provisioning.conftest import BODY, HANDLER, OTHERS, Site
from tests.rotation.proxy import Call, Fault

VALUE = secrets.token_urlsafe(32)


def look(text: str, kind: str) -> reading.Read:
    return reading.look(parse(text, kind), account())


def deployed(site: Site, **options: Any) -> str:
    """With a URL, and a value."""
    held = {**OTHERS, "SECRET_HEADER": VALUE}
    return site.aws.deploy_function(site.name, HANDLER, "app.handler", held, **options)


def denying(site: Site, monkeypatch: pytest.MonkeyPatch, where: Callable[[Call], bool]) -> None:
    """As AWS answers a web process that may not do this."""
    monkeypatch.setattr(site.proxy, "fault_of", lambda call: Fault.DENIED if where(call) else None)


def test_a_functions_name_tells_its_url_and_a_url_whose_it_is(site: Site) -> None:
    url = deployed(site)

    named = look(site.name, "function-url")

    region = site.aws.region
    assert named.place == Place("function-url", url=url, function=site.name, region=region)
    told = dict(named.facts)
    assert (told["Auth type"], told["Invoke mode"]) == ("NONE", "RESPONSE_STREAM")
    assert (named.auth, named.bare, named.problems, named.policy) == (
        "secret-header",
        False,
        [],
        None,
    )
    assert VALUE not in repr(named)
    # Of the URL, and of a path below it.
    for address in (url, f"{url}exports/2026"):
        found = look(address, "function-url")
        assert (found.place.function, found.place.url) == (site.name, address)
        assert found.facts == named.facts
    assert site.proxy.changing == []


def test_a_url_that_signs_and_an_alias_are_told_as_they_are(site: Site) -> None:
    deployed(site, url_auth="AWS_IAM", invoke_mode="BUFFERED")
    functions = site.aws.client("lambda")
    version = functions.publish_version(FunctionName=site.name)["Version"]
    functions.create_alias(FunctionName=site.name, Name="live", FunctionVersion=version)
    of_alias = site.aws.function_url(site.name, qualifier="live")

    assert look(site.name, "function-url").auth == "sigv4"
    assert dict(look(site.name, "function-url").facts)["Invoke mode"] == "BUFFERED"
    found = look(of_alias, "function-url")
    assert (found.place.function, found.place.alias) == (site.name, "live")
    assert look(f"{site.name}:live", "lambda").place.function == f"{site.name}:live"


def test_a_registered_functions_url_is_known_without_aws(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = Secret.objects.create(name="orders")
    urls = {"blue": "https://abc.example/", "green": "https://def.example/"}
    SecretFunction.objects.create(secret=secret, name=site.name, urls=urls)
    denying(site, monkeypatch, lambda call: True)

    found = look("https://def.example/x", "function-url")

    assert (found.place.function, found.place.alias) == (site.name, "green")


def test_what_has_no_url_or_no_function_is_said(site: Site) -> None:
    site.deploy()

    assert look(site.name, "function-url").bare
    assert look("never-there", "function-url").problems == [
        "AWS does not know it (GetFunctionConfiguration, ResourceNotFoundException)."
    ]
    strange = look("https://strange.example/", "function-url")
    assert "was found with this URL" in strange.problems[0]


def test_what_may_not_be_read_is_told_with_the_policy_that_would_allow_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = deployed(site)
    denying(site, monkeypatch, lambda call: call.path.startswith("/2015-03-31/functions"))

    found = look(url, "function-url")

    assert "AWS does not allow it" in found.problems[0]
    assert found.policy
    actions = [one["Action"] for one in found.policy["Statement"]]
    assert actions[0] == ["lambda:ListFunctions"]
    assert "lambda:ListFunctionUrlConfigs" in actions[1]
    assert found.place.url == url
    named = look(site.name, "function-url")
    assert named.policy
    assert named.policy["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["lambda:GetFunctionConfiguration", "lambda:GetFunctionUrlConfig"],
            "Resource": [
                f"arn:aws:lambda:{site.aws.region}:*:function:{site.name}",
                f"arn:aws:lambda:{site.aws.region}:*:function:{site.name}:*",
            ],
        }
    ]


def test_a_gateways_stage_and_where_it_leads_are_read(site: Site) -> None:
    url = deployed(site)
    rest = site.aws.rest_api(site.name, url, "x-secret-header", VALUE)
    http = site.aws.http_api(site.name, url, "x-secret-header", VALUE)
    host = f"execute-api.{site.aws.region}.amazonaws.com"

    of_rest = look(f"https://{rest.api_id}.{host}/prod/export", "http")
    told = dict(of_rest.facts)
    assert (told["Stage"], told["Resource"]) == ("prod", "/export")
    assert told["Method"].startswith("GET → HTTP_PROXY → http")
    assert "29 s" in told["Limits"]
    assert of_rest.place.kind == "gateway"
    assert (
        "has no stage nope" in look(f"https://{rest.api_id}.{host}/nope/x", "gateway").problems[0]
    )

    of_http = look(f"https://{http.api_id}.{host}/export", "gateway")
    assert dict(of_http.facts)["Stage"] == "$default"
    assert "HTTP API" in dict(of_http.facts)["API"]
    # Mappings have the value, and are not told.
    assert VALUE not in repr([of_rest, of_http])


def test_an_object_tells_its_region_and_size(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    # The proxy does not know HEAD.
    monkeypatch.setenv("AWS_ENDPOINT_URL", site.aws.url)
    account.cache_clear()

    found = look("s3://exports/orders.csv", "s3")

    assert found.place.region == site.aws.region
    assert dict(found.facts)["Size"] == f"{len(BODY)} bytes"
    assert "AWS does not know it" in look("s3://exports/nothing.csv", "s3").problems[0]
