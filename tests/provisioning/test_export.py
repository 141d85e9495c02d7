"""What exists is told to Terraform and CloudFormation as it is, without a value."""

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from streams.models import Secret, SecretFunction
from streams.provisioning.naming import Names
from streams.provisioning.terraform import Nested, Raw, block
from tests.provisioning.conftest import Site

OWN = "own-value-" + "v" * 32
HEADER = "x-secret-header"
REST_HEADER = f"integration.request.header.{HEADER}"
HTTP_HEADER = f"overwrite:header.{HEADER}"


def export(*words: str) -> str:
    out = io.StringIO()
    call_command("export", *words, stdout=out)
    return out.getvalue()


@pytest.fixture
def registered(site: Site) -> Site:
    """A function with an alias, and two gateways, none of them made by us."""
    site.deploy(SECRET_HEADER=OWN)
    functions = site.aws.client("lambda")
    functions.publish_version(FunctionName=site.name)
    functions.create_alias(FunctionName=site.name, Name="live", FunctionVersion="1")
    url = site.aws.function_url(site.name, qualifier="live")
    site.aws.open_to_everyone(site.name, qualifier="live")
    secret = Secret.objects.create(name="orders")
    with transaction.atomic():
        secret.set_value(OWN)
    region = site.aws.region
    SecretFunction.objects.create(secret=secret, name=site.name, region=region, alias="live")
    rest = site.aws.rest_api(site.name, url, HEADER, OWN)
    http = site.aws.http_api(site.name, url, HEADER, OWN)
    secret.gateways.create(
        type="rest", region=region, api_id=rest.api_id, resource_id=rest.resource_id,
        method="GET", stage="prod",
    )  # fmt: skip
    secret.gateways.create(
        type="http", region=region, api_id=http.api_id, integration_id=http.integration_id,
        stage="$default",
    )  # fmt: skip
    return site


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Head and body of each block; raises where what is written is none."""
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    rest = re.sub(r"^(\S[^\n{]*) \{\n(.*?)^\}\n", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not rest.strip(), rest
    for match in re.finditer(r"^(\S[^\n{]*) \{\n(.*?)^\}\n", text, flags=re.MULTILINE | re.DOTALL):
        yield match[1], match[2]


def test_terraform_imports_every_resource_that_it_describes(registered: Site) -> None:
    text = export("--format", "terraform")

    found = dict(blocks(text))
    resources = [head.replace('"', "").split()[1:] for head in found if head.startswith("resource")]
    assert sorted(kind for kind, _ in resources) == [
        "aws_api_gateway_integration",
        "aws_api_gateway_method",
        "aws_api_gateway_resource",
        "aws_apigatewayv2_integration",
        "aws_apigatewayv2_route",
        "aws_lambda_alias",
        "aws_lambda_function_url",
        "aws_lambda_permission",
        "aws_lambda_permission",
    ]
    imported = [body for head, body in blocks(text) if head == "import"]
    for kind, name in resources:
        assert any(f"to = {kind}.{name}\n" in body for body in imported)
    assert f'id = "{registered.name}/live"' in text
    assert f'id = "{registered.name}:live/public-url-live"' in text
    assert 'function_url_auth_type = "NONE"' in text
    assert "invoked_via_function_url = true" in text
    assert f'"{REST_HEADER}" = "\'${{var.orders_value}}\'"' in text
    assert f'"{HTTP_HEADER}" = "${{var.orders_value}}"' in text
    assert "sensitive = true" in found['variable "orders_value"']
    assert text.count("ignore_changes = [request_parameters]") == 2
    assert OWN not in text


def test_cloudformation_imports_every_resource_and_keeps_it(registered: Site) -> None:
    text = export("--format", "cloudformation")

    template: dict[str, Any] = json.loads(text)
    resources = template["Resources"]
    imports = template["Metadata"]["ResourcesToImport"]
    assert {one["LogicalResourceId"] for one in imports} == set(resources)
    assert {one["DeletionPolicy"] for one in resources.values()} == {"Retain"}
    assert template["Parameters"] == {"OrdersValue": {"Type": "String", "NoEcho": True}}
    by_kind = {one["Type"]: one["Properties"] for one in resources.values()}
    assert len(by_kind) == len(resources) - 1
    permissions = [
        one["Properties"] for one in resources.values() if one["Type"] == "AWS::Lambda::Permission"
    ]
    assert {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"} == {
        one["Action"] for one in permissions
    }
    assert sum(one.get("FunctionUrlAuthType") == "NONE" for one in permissions) == 1
    assert sum(one.get("InvokedViaFunctionUrl") is True for one in permissions) == 1
    rest = by_kind["AWS::ApiGateway::Method"]["Integration"]["RequestParameters"]
    assert rest == {REST_HEADER: {"Fn::Sub": "'${OrdersValue}'"}}
    http = by_kind["AWS::ApiGatewayV2::Integration"]["RequestParameters"]
    assert http == {HTTP_HEADER: {"Fn::Sub": "${OrdersValue}"}}
    assert OWN not in text


def test_values_of_other_headers_are_not_told_either(registered: Site) -> None:
    gateway = Secret.objects.get().gateways.get(type="rest")
    registered.aws.client("apigateway").update_integration(
        restApiId=gateway.api_id,
        resourceId=gateway.resource_id,
        httpMethod="GET",
        patchOperations=[
            {
                "op": "add",
                "path": "/requestParameters/integration.request.header.x-other",
                "value": "'another-secret'",
            },
            {
                "op": "add",
                "path": "/requestParameters/integration.request.querystring.page",
                "value": "method.request.querystring.page",
            },
        ],
    )

    for form in ("terraform", "cloudformation"):
        text = export("--format", form)
        assert "another-secret" not in text
        assert '"method.request.querystring.page"' in text


def test_a_stack_is_in_one_region(registered: Site) -> None:
    Secret.objects.get().gateways.filter(type="http").update(region="")
    gateway = Secret.objects.get().gateways.get(type="rest")
    gateway.role_arn = "arn:aws:iam::000000000000:role/other"
    gateway.save()

    with pytest.raises(CommandError, match="A stack is in one region of one account"):
        export("--format", "cloudformation")
    assert 'role_arn = "arn:aws:iam::000000000000:role/other"' in export("--format", "terraform")


@pytest.mark.django_db
def test_an_empty_registry_and_an_unknown_secret_are_said() -> None:
    with pytest.raises(CommandError, match="names no function and no gateway"):
        export("--format", "terraform")
    with pytest.raises(CommandError, match="There is no secret people"):
        export("--format", "terraform", "--secret", "people")


def test_what_hcl_would_take_for_a_template_is_escaped() -> None:
    body = {"text": 'a "${b}" %{c}', "raw": Raw("var.x"), "list": [Raw("y"), 1, True]}

    assert block("kind", ["one", 'two"'], {**body, "inner": Nested({"n": 1})}) == (
        'kind "one" "two\\"" {\n'
        '  text = "a \\"$${b}\\" %%{c}"\n'
        "  raw = var.x\n"
        "  list = [y, 1, true]\n"
        "  inner {\n"
        "    n = 1\n"
        "  }\n"
        "}\n"
    )


def test_names_are_used_once() -> None:
    names = Names()

    assert names("a-b", "url") == names("a-b", "url") == "a_b_url"
    assert names("a_b", "url") == "a_b_url2"
    assert names("1a") == "_1a"
    assert Names(camel=True)("orders", "spillway-url") == "OrdersSpillwayUrl"
