"""No false alarm over what `functions/` has to deploy; over the recipes, see the demo's test."""

import io
import re
import secrets
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from functions import package
from sandbox.client import Sandbox
from sandbox.settings import ACCOUNT
from streams.models import Endpoint, Secret, SecretFunction
from tests.doctor.conftest import OTHERS, ROOT, examined
from tests.functions.languages import NODE, NODEJS, needs_node

TEMPLATE = ROOT / "functions" / "templates" / "cloudformation.yaml"


def _bootstrap(command: tuple[str, ...], environment: dict[str, str]) -> bytes:
    """A package that runs the handler where it stands, beside its SDK."""
    lines = ["#!/bin/sh", f"export LAMBDA_TASK_ROOT={shlex.quote(str(NODEJS))}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    lines += ['cd "$LAMBDA_TASK_ROOT"', f'exec {shlex.join(command)} "$_HANDLER"']
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, "\n".join([*lines, ""]))
    return packed.getvalue()


def _secret(value: str, **function: Any) -> Secret:
    secret = Secret.objects.create(name="orders")
    with transaction.atomic():
        secret.set_value(value)
    SecretFunction.objects.create(secret=secret, **function)
    return secret


def _register(url: str, secret: Secret) -> None:
    Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", url=url, auth="secret-header",
        secret=secret,
    )  # fmt: skip


@needs_node
def test_the_handler_for_node_is_found_well(account: Sandbox) -> None:
    name, value = f"node-{secrets.token_hex(4)}", secrets.token_urlsafe(32)
    code = _bootstrap(NODE.command, NODE.environment)
    url = account.deploy_function(name, code, "app.handler", {**OTHERS, "SECRET_HEADER": value})
    _register(url, _secret(value, name=name, region=account.region))

    status, told = examined()

    assert (status, told["findings"]) == (0, [])
    assert told["passed"] > 20


def test_the_handler_without_a_secret_is_found_well(account: Sandbox) -> None:
    name = f"signed-{secrets.token_hex(4)}"
    url = account.deploy_function(
        name, package.exporting(), "app.export", OTHERS, url_auth="AWS_IAM"
    )
    where = {"auth": "sigv4", "region": account.region}
    Endpoint.objects.create(slug="signed", title="A", kind="function-url", url=url, **where)
    Endpoint.objects.create(slug="invoked", title="B", kind="lambda", function=name, **where)

    status, told = examined()

    assert (status, told["findings"]) == (0, [])


# A guarded handler without ranges, that takes a while to start, or to make its file.
SLOW = """
import time
from spillway_lambda import Head, guarded, streamify

time.sleep({start})

@guarded
@streamify
def handler(event, context):
    time.sleep({make})
    yield Head(200, {{"Content-Length": "800000"}})
    yield b"a,b\\n1,2\\n" * 100_000
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "make", "expected"), [(2.5, 0, []), (0, 2.5, ["origin-buffers"])]
)
def test_a_function_that_starts_slowly_is_told_from_one_that_makes_all_first(
    account: Sandbox, tmp_path: Path, start: float, make: float, expected: list[str]
) -> None:
    (tmp_path / "slow.py").write_text(SLOW.format(start=start, make=make))
    code = package.packed(package.library() | {"slow.py": tmp_path / "slow.py"})
    name, value = f"slow-{secrets.token_hex(4)}", secrets.token_urlsafe(32)
    url = account.deploy_function(name, code, "slow.handler", {"SECRET_HEADER": value})
    _register(url, _secret(value, name=name, region=account.region))

    _, told = examined()

    found = [one["id"] for one in told["findings"] if one["id"] != "not-resumable"]
    assert found == expected


def _template() -> str:
    # The emulator does not know the newer type of the two that give a role a policy.
    text = TEMPLATE.read_text().replace("Type: AWS::IAM::RolePolicy", "Type: AWS::IAM::Policy")
    return re.sub(r"RoleName: (!Ref \w+)", r"Roles: [\1]", text)


def _stack(aws: Sandbox, name: str, value: str, **parameters: str) -> dict[str, str]:
    """Deploys the template; its outputs."""
    aws.put_object("deployments", "python.zip", package.exporting())
    principal = f"arn:aws:iam::{ACCOUNT}:root"
    given = {
        "FunctionName": name, "Language": "python", "CodeBucket": "deployments",
        "CodeKey": "python.zip", "ExportBucket": "exports", "ExportKey": "orders.csv",
        "SecretValue": value, "WebPrincipalArn": principal, "WorkerPrincipalArn": principal,
        **parameters,
    }  # fmt: skip
    stacks = aws.client("cloudformation")
    stacks.create_stack(
        StackName=name, TemplateBody=_template(), Capabilities=["CAPABILITY_IAM"],
        Parameters=[
            {"ParameterKey": key, "ParameterValue": text} for key, text in given.items()
        ],
    )  # fmt: skip
    stacks.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    (stack,) = stacks.describe_stacks(StackName=name)["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


def _alone(aws: Sandbox, name: str, value: str) -> None:
    outputs = _stack(aws, name, value)
    # The sandbox serves a URL under its own address.
    url = aws.client("lambda").get_function_url_config(FunctionName=name)["FunctionUrl"]
    _register(
        url,
        _secret(
            value, name=outputs["FunctionArn"], region=aws.region,
            role_arn=outputs["WorkerRoleArn"],
        ),
    )  # fmt: skip


def _pair(aws: Sandbox, name: str, value: str) -> None:
    outputs = _stack(aws, name, value, AliasPair="yes")
    urls = {
        alias: aws.client("lambda").get_function_url_config(FunctionName=name, Qualifier=alias)[
            "FunctionUrl"
        ]
        for alias in ("blue", "green")
    }
    secret = _secret(
        value, name=outputs["FunctionArn"], region=aws.region,
        role_arn=outputs["WorkerRoleArn"], accepts="one", aliases=["blue", "green"], urls=urls,
    )  # fmt: skip
    secret.versions.update(alias="blue")
    _register(urls["blue"], secret)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deploy", "true"),
    [
        # The doctor would look at the function's policy, and a rotation need not.
        (_alone, [("identity-sees-less", "info")]),
        (_pair, []),
    ],
)
def test_what_the_template_makes_is_found_well(
    account: Sandbox, deploy: Callable[[Sandbox, str, str], None], true: list[tuple[str, str]]
) -> None:
    value = secrets.token_urlsafe(32)
    deploy(account, f"stack-{secrets.token_hex(4)}", value)

    status, told = examined()

    assert [(one["id"], one["severity"]) for one in told["findings"]] == true
    assert status == 0
    assert value not in str(told)
    # The worker's role was simulated, with the policies that the template gives it.
    skipped = {one["id"] for one in told["skipped"] if one["subject"].startswith("role ")}
    assert "identity-lacks" not in skipped


@pytest.mark.slow
def test_the_worker_of_the_template_may_rotate_its_gateways_and_no_more(account: Sandbox) -> None:
    name, value = f"stack-{secrets.token_hex(4)}", secrets.token_urlsafe(32)
    outputs = _stack(account, name, value, RestApi="yes", HttpApi="yes")
    where = {"region": account.region, "role_arn": outputs["WorkerRoleArn"]}
    secret = _secret(value, name=outputs["FunctionArn"], **where)
    secret.gateways.create(
        type="rest", api_id=outputs["RestApiId"], resource_id=outputs["RestResourceId"],
        method="GET", stage="prod", **where,
    )  # fmt: skip
    secret.gateways.create(
        type="http", api_id=outputs["HttpApiId"], integration_id=outputs["HttpIntegrationId"],
        stage="$default", **where,
    )  # fmt: skip

    _, told = examined()

    # The sandbox deploys no gateway of a stack; its roles are as they are.
    found = [one["id"] for one in told["findings"] if one["id"].startswith("identity-")]
    assert found == ["identity-sees-less"]
    skipped = {one["id"] for one in told["skipped"] if one["subject"].startswith("role ")}
    assert not skipped & {"identity-lacks", "identity-may-more"}
