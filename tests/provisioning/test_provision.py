"""From a bare function to a protected endpoint, in AWS's stand-in, with the deployable handler."""

import asyncio
import io
import json
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from pytest_django.fixtures import Settings

from streams.access.addresses import address_policy
from streams.delivery.downloads import target_of
from streams.models import AuditEntry, Endpoint, Gateway, Secret, SecretFunction, SecretVersion
from streams.net.client import Client
from streams.origins import Credential, Wanted, build
from streams.provisioning.asking import Address
from streams.rotation import starting
from streams.rotation.engine import account
from tests.functional.conftest import until
from tests.provisioning.conftest import BODY, OTHERS, Site

HEADER = "x-secret-header"
OWN = "own-value-" + "v" * 32


def status(url: str, value: str | None = None) -> int | None:
    return Address(address_policy(), url, HEADER).status(value)


def passes(url: str, value: str | None = None) -> bool:
    """Whether it does, once what was changed last has spread."""
    return until(lambda: status(url, value) == 206, 10)


def value_of(secret: str = "orders") -> str:
    return SecretVersion.objects.get(secret__name=secret, state="current").value


def downloaded() -> bytes:
    """What the portal's origin of the endpoint gives."""
    endpoint = Endpoint.objects.select_related("secret").get(slug="orders")
    target, credential = target_of(endpoint), Credential(HEADER, value_of())

    async def read() -> bytes:
        client = Client(address_policy(), head_timeout=20)
        try:
            opened = await build(client, account(), target).open(Wanted(), credential)
            parts = []
            while part := await opened.body.read():
                parts.append(part)
            return b"".join(parts)
        finally:
            await client.close()

    return asyncio.run(read())


def rows() -> list[Any]:
    models = (Endpoint, Gateway, Secret, SecretFunction, SecretVersion)
    return [list(model._default_manager.values()) for model in models]


def recorded() -> list[str]:
    """What the audit log says of it."""
    found = AuditEntry.objects.order_by("number")
    assert {entry.what for entry in found} <= {"orders"}
    return list(found.values_list("action", flat=True))


def test_a_bare_function_becomes_a_protected_endpoint_and_stays_one(site: Site) -> None:
    site.deploy()
    words = ["--title", "Orders", "--group", "analysts", *site.rest_words(site.rest_api())]

    told = site.provision(*words)

    assert downloaded() == BODY
    assert site.variables() == {**OTHERS, "SECRET_HEADER": value_of()}
    assert passes(told["url"], value_of())
    assert status(told["url"]) == status(told["url"], "") == status(told["url"], "w" * 32) == 403
    assert passes(told["gateway_url"])
    assert passes(told["gateway_url"], "w" * 32)
    assert [group.name for group in Endpoint.objects.get().readers.all()] == ["analysts"]
    assert value_of() not in site.told
    made = rows()
    site.proxy.restart()
    assert site.provision(*words)["changes"] == []
    assert site.proxy.changing == []
    assert rows() == made
    assert recorded() == [
        "provisioning.started", "secret.added", "secret.changed", "endpoint.added",
        "provisioning.completed", "provisioning.started", "provisioning.completed",
    ]  # fmt: skip


def test_a_dry_run_tells_every_step_and_changes_nothing(site: Site) -> None:
    site.deploy()
    api_id = site.rest_api()
    before, stored = site.snapshot(api_id), rows()

    told = site.provision("--dry-run", *site.rest_words(api_id))

    steps = [change.partition(":")[0] for change in told["changes"]]
    assert list(dict.fromkeys(steps)) == [
        "secret", "environment", "url", "permissions", "gateway", "registry",
    ]  # fmt: skip
    assert "must refuse" in site.told
    assert site.proxy.changing == []
    assert (site.snapshot(api_id), rows()) == (before, stored)
    assert recorded() == []


def test_a_function_that_does_not_check_is_never_public(site: Site) -> None:
    site.deploy("app.export")
    before, stored = site.snapshot(), rows()

    with pytest.raises(CommandError, match=r"without the header was let in\. Wrap its handler"):
        site.provision()

    assert not any("/policy" in change or "/url" in change for change in site.proxy.changing)
    assert (site.snapshot(), rows()) == (before, stored)


@pytest.mark.slow
def test_an_http_api_that_is_deployed_by_hand_gets_a_route_beside_the_others(site: Site) -> None:
    site.deploy()
    words = site.http_words(site.http_api(auto_deploy=False))

    told = site.provision(*words)

    assert passes(told["gateway_url"])
    assert passes(told["gateway_url"], "w" * 32)
    assert any("This also publishes: every other change" in one for one in told["changes"])
    site.proxy.restart()
    assert site.provision(*words)["changes"] == []
    assert site.proxy.changing == []


@pytest.mark.slow
def test_a_second_gateway_and_group_are_added_to_what_is_registered(site: Site) -> None:
    site.deploy()
    site.provision("--group", "analysts", *site.rest_words(site.rest_api()))

    told = site.provision("--group", "auditors", *site.http_words(site.http_api()))

    assert passes(told["gateway_url"])
    assert [gateway.type for gateway in Gateway.objects.order_by("pk")] == ["rest", "http"]
    readers = Endpoint.objects.get().readers.order_by("name")
    assert [group.name for group in readers] == ["analysts", "auditors"]


@pytest.mark.slow
def test_what_was_provisioned_rotates(site: Site, settings: Settings) -> None:
    site.deploy()
    told = site.provision(*site.rest_words(site.rest_api()))
    first = value_of()
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 1.5

    call_command("rotate", "orders", "--wait", stderr=io.StringIO())

    assert value_of() != first
    assert status(told["url"], first) == 403
    assert passes(told["url"], value_of())
    assert passes(told["gateway_url"])
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = 3.0
    assert site.provision(*site.rest_words(told["gateway_url"].split("/")[4]))["changes"] == []


@pytest.mark.slow
def test_an_integration_that_leads_elsewhere_is_changed_and_not_replaced(site: Site) -> None:
    site.deploy()
    api_id = site.rest_api()
    url = f"{site.aws.url}/_rest/{api_id}/prod/export"

    site.provision("--rest-api", api_id, "--path", "/export", "--gateway-url", url)

    assert passes(url)
    # The header that it sends besides is still there.
    resource = site.snapshot(api_id)["apis"][0][0]["/export"]
    parameters = resource["GET"]["methodIntegration"]["requestParameters"]
    assert parameters == {
        "integration.request.header.x-other": f"'{'o' * 20}'",
        f"integration.request.header.{HEADER}": f"'{value_of()}'",
    }


@pytest.mark.slow
def test_an_alias_gets_a_version_and_a_url_of_its_own(site: Site) -> None:
    site.deploy()
    functions = site.aws.client("lambda")
    functions.publish_version(FunctionName=site.name)
    functions.create_alias(FunctionName=site.name, Name="live", FunctionVersion="1")

    told = site.provision("--alias", "live")

    assert functions.get_alias(FunctionName=site.name, Name="live")["FunctionVersion"] == "2"
    assert passes(told["url"], value_of())
    assert status(told["url"]) == 403
    site.proxy.restart()
    assert site.provision("--alias", "live")["changes"] == []
    assert site.proxy.changing == []


def test_the_value_that_callers_send_already_is_taken_over(site: Site) -> None:
    site.deploy(SECRET_HEADER=OWN)

    told = site.provision()

    assert value_of() == OWN
    assert site.variables() == {**OTHERS, "SECRET_HEADER": OWN}
    assert not any(change.startswith("environment") for change in told["changes"])
    assert OWN not in site.told
    assert not any(OWN in str(row) for row in rows()[:-1])


def test_a_buffered_url_is_made_to_stream_and_keeps_its_cors(site: Site) -> None:
    site.deploy(SECRET_HEADER=OWN)
    functions = site.aws.client("lambda")
    functions.create_function_url_config(
        FunctionName=site.name, AuthType="NONE", Cors={"AllowOrigins": ["https://example.com"]}
    )

    site.provision()

    held = functions.get_function_url_config(FunctionName=site.name)
    assert held["InvokeMode"] == "RESPONSE_STREAM"
    assert held["Cors"]["AllowOrigins"] == ["https://example.com"]
    assert downloaded() == BODY


def _signed(site: Site) -> None:
    site.deploy(SECRET_HEADER=OWN)
    site.aws.client("lambda").create_function_url_config(
        FunctionName=site.name, AuthType="AWS_IAM", InvokeMode="RESPONSE_STREAM"
    )


def _in_a_vpc(site: Site) -> None:
    site.deploy(SECRET_HEADER=OWN)
    subnet = site.aws.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    functions = site.aws.client("lambda")
    functions.get_waiter("function_active_v2").wait(FunctionName=site.name)
    functions.update_function_configuration(
        FunctionName=site.name, VpcConfig={"SubnetIds": [subnet], "SecurityGroupIds": ["sg-1"]}
    )


def _other_value(site: Site) -> None:
    site.deploy(SECRET_HEADER=OWN)
    with transaction.atomic():
        Secret.objects.create(name="orders").set_value("r" * 32)


def _short_value(site: Site) -> None:
    site.deploy(SECRET_HEADER="short")


def _other_function(site: Site) -> None:
    site.deploy()
    SecretFunction.objects.create(secret=Secret.objects.create(name="orders"), name="people")


def _rotating(site: Site) -> None:
    site.deploy(SECRET_HEADER=OWN)
    secret = Secret.objects.create(name="orders")
    with transaction.atomic():
        secret.set_value(OWN)
    SecretFunction.objects.create(secret=secret, name=site.name, region=site.aws.region)
    starting.start(secret, by="ada")


def _slug_of_a_file(site: Site) -> None:
    site.deploy()
    Endpoint.objects.create(
        slug="orders", title="Orders", kind="s3", auth="sigv4", bucket="exports", key="orders.csv",
        region="eu-central-1",
    )  # fmt: skip


def _with_an_alias_in_its_name(site: Site) -> None:
    site.name += ":live"


@pytest.mark.parametrize(
    ("prepared", "words", "problem"),
    [
        (_signed, [], "asks for a signature"),
        (_in_a_vpc, [], "in a VPC, where a function URL does not stream. Register it as"),
        (_other_value, [], "a value that is none of this secret's. Make the two agree"),
        (_short_value, [], "holds what cannot be sent as a header"),
        (_other_function, [], "belongs to the function people without an alias"),
        (_rotating, [], "A rotation of orders is under way"),
        (_slug_of_a_file, [], "there already, as S3 object"),
        (lambda _: None, [], "AWS does not know it .GetFunctionConfiguration"),
        (Site.deploy, ["--header", "content-type"], "API Gateway cannot map this header"),
        (Site.deploy, ["--slug", "Not A Slug"], "slug"),
        (Site.deploy, ["--rest-api", "a1", "--path", "/{orders}"], "without variables"),
        (Site.deploy, ["--rest-api", "a1", "--path", "/orders"], "does not know it"),
        (Site.deploy, ["--http-api", "A 1", "--path", "/orders"], "api_id: expected an id as AWS"),
        (_with_an_alias_in_its_name, [], "its alias by --alias"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_changed(
    site: Site, prepared: Any, words: list[str], problem: str
) -> None:
    prepared(site)
    stored = rows()

    with pytest.raises(CommandError, match=problem):
        site.provision(*words)

    assert site.proxy.changing == []
    assert rows() == stored
    assert not re.search(f"{OWN}|{'r' * 32}", site.told)


def test_what_was_provisioned_the_doctor_finds_well(site: Site) -> None:
    site.deploy()
    site.provision(*site.rest_words(site.rest_api()))
    site.proxy.restart()
    out = io.StringIO()

    call_command("doctor", "--json", stdout=out, stderr=io.StringIO())

    assert json.loads(out.getvalue())["findings"] == []
    assert site.proxy.changing == []
    assert value_of() not in out.getvalue()
