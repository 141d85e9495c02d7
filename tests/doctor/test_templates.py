"""No false alarm over what the templates make; it serves, and its secret rotates."""

import io
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.test import AsyncClient
from pytest_django.fixtures import Settings

from functions import package
from sandbox.client import Sandbox
from streams.models import Gateway, User
from tests.doctor.conftest import BODY, HEADER, examined
from tests.doctor.templates import (
    DEPLOYED,
    Choices,
    Outputs,
    Site,
    cloudformation,
    stacked,
)
from tests.functions.languages import NODE, in_place, needs_node
from tests.functions.terraform.configuration import Configuration, files
from tests.functions.terraform.provider import AUTOMATIC

pytestmark = pytest.mark.slow

GATEWAYS = {"rest_api": True, "http_api": True}
# What the variables offer, together where one has to do with the other.
CHOICES: dict[str, Choices] = {
    "alone": {},
    "pair": {"alias_pair": True},
    "gateways": GATEWAYS | {"manage_bucket_policy": True},
    "pair with gateways": GATEWAYS | {"alias_pair": True},
    "signed": {"url_auth": "AWS_IAM", "manage_bucket_policy": True},
    "signed pair": {"url_auth": "AWS_IAM", "alias_pair": True},
}
# The doctor would look at the policy of a function that rotates, and a rotation of a pair alone
# needs to.
SEES_LESS = {"alone", "gateways"}
# What each gateway of these is judged by.
OF_GATEWAYS = {
    "gateway-unreadable", "integration-type", "integration-elsewhere", "gateway-refused",
    "mapping-absent", "mapping-differs", "gateway-canary",
}  # fmt: skip


@async_to_sync
async def downloaded(slug: str) -> bytes:
    client = AsyncClient()
    user, _ = await User.objects.aget_or_create(username="ann")
    await client.aforce_login(user)
    answer: Any = await client.get(f"/exports/{slug}/download")
    assert answer.status_code == 200, slug
    return b"".join([part async for part in answer.streaming_content])


def check_serving(slugs: list[str]) -> None:
    assert [slug for slug in slugs if downloaded(slug) != BODY] == []


def found() -> list[str]:
    _, told = examined()
    return [one["id"] for one in told["findings"]]


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("deploy", DEPLOYED.values(), ids=DEPLOYED)
def test_what_a_template_makes_is_found_well_and_serves(
    account: Sandbox, tmp_path: Path, deploy: Callable[[Site], Outputs], choice: str
) -> None:
    site = Site(account, tmp_path, package.exporting(), CHOICES[choice])
    outputs = deploy(site)
    slugs = site.register(outputs)

    status, told = examined()

    assert [one["id"] for one in told["findings"]] == ["identity-sees-less"] * (choice in SEES_LESS)
    assert (status, site.value in str(told)) == (0, False)
    check_serving(slugs)
    # Both roles were simulated, with the policies that the template gives them.
    skipped = {(one["subject"], one["id"]) for one in told["skipped"]}
    assert (f"role {outputs['web_role_arn']}", "identity-may-more") not in skipped
    if "orders" in slugs:
        worker = f"role {outputs['worker_role_arn']}"
        assert not skipped & {(worker, "identity-lacks"), (worker, "identity-may-more")}
    gateways = Gateway.objects.all()
    assert not skipped & {(str(one), judged) for one in gateways for judged in OF_GATEWAYS}


@needs_node
@pytest.mark.parametrize("choices", [{}, {"url_auth": "AWS_IAM"}], ids=["alone", "signed"])
@pytest.mark.parametrize("deploy", DEPLOYED.values(), ids=DEPLOYED)
def test_the_other_language_too(
    account: Sandbox, tmp_path: Path, deploy: Callable[[Site], Outputs], choices: Choices
) -> None:
    site = Site(account, tmp_path, in_place(NODE), {**choices, "language": "nodejs"})

    slugs = site.register(deploy(site))

    assert set(found()) <= {"identity-sees-less"}
    check_serving(slugs)


def rotated(site: Site, outputs: Outputs, settings: Settings) -> None:
    """Rotates its secret, after which all is well, and the old value is refused."""
    slugs = site.register(outputs)
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 0.3
    settings.ROTATION_CONSUMERS = 0.3

    call_command("rotate", "orders", "--wait", stdout=io.StringIO(), stderr=io.StringIO())

    assert set(found()) <= {"identity-sees-less"}
    check_serving(slugs)
    old = urllib.request.Request(outputs["function_url"], headers={HEADER: site.value})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(old, timeout=10)


@pytest.mark.parametrize("choice", ["gateways", "pair with gateways"])
def test_what_cloudformation_makes_rotates(
    account: Sandbox, tmp_path: Path, settings: Settings, choice: str
) -> None:
    site = Site(account, tmp_path, package.exporting(), CHOICES[choice])

    rotated(site, cloudformation(site), settings)


ROTATED = {
    "aws_lambda_function.export: environment",
    "aws_api_gateway_integration.export: request_parameters",
    "aws_api_gateway_stage.export: deployment_id",
    "aws_apigatewayv2_integration.export: request_parameters",
}
MOVED = {
    "aws_lambda_alias.export: function_version",
    "aws_api_gateway_integration.export: uri",
    "aws_apigatewayv2_integration.export: integration_uri",
}


@pytest.mark.parametrize(
    ("choice", "changed"), [("gateways", ROTATED), ("pair with gateways", ROTATED | MOVED)]
)
def test_what_terraform_makes_rotates_and_is_not_put_back(
    account: Sandbox, tmp_path: Path, settings: Settings, choice: str, changed: set[str]
) -> None:
    site = Site(account, tmp_path, package.exporting(), CHOICES[choice])
    stack = stacked(site, Configuration(files()))
    assert stack.changes() == set()

    rotated(site, stack.outputs, settings)

    assert stack.changes() == set()
    heedless = [replace(one, ignored=()) for one in stack.resources]
    assert replace(stack, resources=heedless).changes() == changed


@pytest.mark.parametrize("deploy", DEPLOYED.values(), ids=DEPLOYED)
def test_a_value_in_secrets_manager_rotates(
    account: Sandbox, tmp_path: Path, settings: Settings, deploy: Callable[[Site], Outputs]
) -> None:
    site = Site(account, tmp_path, package.exporting(), {})
    made = account.client("secretsmanager").create_secret(Name=site.name, SecretString=site.value)
    site.choices = {"secret_id": made["ARN"]}

    rotated(site, deploy(site), settings)

    held = account.client("secretsmanager").get_secret_value(SecretId=made["ARN"])["SecretString"]
    environment = account.client("lambda").get_function_configuration(FunctionName=site.name)
    assert held == environment["Environment"]["Variables"]["SECRET_HEADER"] != site.value


# A line of Terraform's files, what is put in its place, and what must be found then.
BROKEN = [
    ('  invoke_mode        = "RESPONSE_STREAM"\n', "", ["url-buffered"]),
    ('      "lambda:UpdateFunctionConfiguration",\n', "", ["identity-lacks"]),
    ("= \"'${var.secret_value}'\"", "= var.secret_value", ["mapping-unquoted"]),
    ('"overwrite:header.', '"append:header.', ["mapping-append"]),
]


@pytest.mark.parametrize(("right", "wrong", "expected"), BROKEN, ids=[row[2][0] for row in BROKEN])
def test_what_is_broken_there_is_found(
    account: Sandbox, tmp_path: Path, right: str, wrong: str, expected: list[str]
) -> None:
    assert right in files()
    site = Site(account, tmp_path, package.exporting(), GATEWAYS)

    site.register(stacked(site, Configuration(files().replace(right, wrong))).outputs)

    assert [one for one in found() if one != "identity-sees-less"] == expected


@pytest.mark.parametrize("dropped", ["", "url", "invoke"])
def test_its_own_permissions_suffice_and_both_are_needed(
    account: Sandbox, tmp_path: Path, dropped: str
) -> None:
    """Where a URL becomes one for everybody later, the provider adds none of itself."""
    site = Site(account, tmp_path, package.exporting(), {})
    configuration = Configuration(files())
    configuration.parts.pop(("aws_lambda_permission", dropped), None)
    outputs = stacked(site, configuration).outputs
    site.register(outputs)
    for name in AUTOMATIC:
        account.client("lambda").remove_permission(FunctionName=site.name, StatementId=name)
    site.allow(outputs["worker_role_arn"], "look", ("lambda:GetPolicy", outputs["function_arn"]))

    assert found() == ([f"permission-{dropped}"] if dropped else [])
