"""What stands in Terraform's place in tests knows what the files say, and refuses the rest."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sandbox
from functions import package
from sandbox.client import Sandbox
from tests.functions.terraform.configuration import Configuration, files
from tests.functions.terraform.hcl import TerraformError
from tests.functions.terraform.provider import Provider


class Plan:
    """Makes nothing; an attribute that is no argument is its name."""

    def __init__(self) -> None:
        self.made: list[tuple[str, dict[str, Any]]] = []

    def look(self, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return Anything()

    def make(self, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.made.append((kind, arguments))
        return Anything(arguments)

    def read(self, kind: str, made: dict[str, Any]) -> dict[str, Any]:
        return {}


class Anything(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return f"<{name}>"


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    zip_file = tmp_path / "export.zip"
    zip_file.write_bytes(package.exporting())
    return {
        "function_name": f"export-{secrets.token_hex(4)}", "zip_file": str(zip_file),
        "export_bucket": "exports", "export_key": "orders.csv", "secret_value": "v" * 32,
        "web_principal_arn": "arn:web", "worker_principal_arn": "arn:worker",
    }  # fmt: skip


def test_nothing_of_the_files_is_unused() -> None:
    assert Configuration(files()).unused() == set()
    assert Configuration(files() + 'variable "more" {\n  type = string\n}\n').unused() == {
        ("var", "more")
    }


def test_what_a_choice_leaves_out_is_not_made(given: dict[str, Any]) -> None:
    few, many = Plan(), Plan()

    Configuration(files()).apply(few, **given)
    Configuration(files()).apply(many, **given, alias_pair=True, rest_api=True, http_api=True)

    assert {kind for kind, _ in many.made} - {kind for kind, _ in few.made} == {
        "aws_lambda_alias", "aws_api_gateway_rest_api", "aws_api_gateway_resource",
        "aws_api_gateway_method", "aws_api_gateway_integration", "aws_api_gateway_deployment",
        "aws_api_gateway_stage", "aws_apigatewayv2_api", "aws_apigatewayv2_integration",
        "aws_apigatewayv2_route", "aws_apigatewayv2_stage",
    }  # fmt: skip
    permissions = [held for kind, held in many.made if kind == "aws_lambda_permission"]
    assert len(permissions) == 2 * 2


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"url_auth": "OPEN"}, "Choose NONE or AWS_IAM"),
        ({"url_auth": "AWS_IAM", "rest_api": True}, "A gateway cannot sign"),
        ({"url_auth": "AWS_IAM", "http_api": True}, "A gateway cannot sign"),
        ({"secret_value": "it's" + "v" * 32}, "Use 32 to 128 characters"),
        ({"language": "go"}, "Choose python or nodejs"),
        ({"alias_pair": "yes"}, "alias_pair is not of its type"),
        ({"pair": True}, "there is no variable pair"),
    ],
)
def test_what_no_variable_may_be_is_refused(
    given: dict[str, Any], chosen: dict[str, Any], problem: str
) -> None:
    plan = Plan()

    with pytest.raises(TerraformError, match=problem):
        Configuration(files()).apply(plan, **{**given, **chosen})

    assert plan.made == []


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("aws_iam_role.web.arn\n}", "aws_iam_role.portal.arn\n}", "no aws_iam_role.portal"),
        ("aws_iam_role.web.arn\n}", "aws_iam_role.web.address\n}", "there is no address"),
        ("= var.export_key\n", "= var.object_key\n", "no var.object_key"),
        ("= local.urls\n", "= local.addresses\n", "no local.addresses"),
        ("= local.aliases\n", "= toset(aws_lambda_function.export.arn)\n", "not known in a plan"),
        ("value       = local.url\n", "value = var.secret_value\n", "sensitive secret_value"),
        ('name = "${var.function_name}-rest"', "name = upper(var.function_name)", "no upper"),
        ("ignore_changes = [function_version]", "ignore_changes = [version]", "ignores version"),
        ("  memory_size      = 512\n", "  memory           = 512\n", "'memory'"),
        ("[aws_cloudwatch_log_group.function]", "[aws_lambda_alias.export]", "a circle"),
        (
            '"aws_cloudwatch_log_group" "function"',
            '"aws_log_group" "function"',
            "no aws_cloudwatch",
        ),
        ('resource "aws_s3_bucket_policy"', 'module "aws_s3_bucket_policy"', "module is not"),
        ("  depends_on = [aws_api_gateway_integration.export]\n", "", "an integration of each"),
        ("timeout_milliseconds   = 900000", "timeout_milliseconds = 900001", "50 to 900000"),
    ],
)
def test_what_terraform_would_refuse_is_refused(
    aws: Sandbox, given: dict[str, Any], right: str, wrong: str, problem: str
) -> None:
    assert right in files()
    configuration = files().replace(right, wrong)

    with pytest.raises(TerraformError, match=problem):
        Configuration(configuration).apply(Provider(aws), **given, rest_api=True, alias_pair=True)


@pytest.fixture(scope="module")
def aws() -> Iterator[Sandbox]:
    with sandbox.running() as running:
        yield running
