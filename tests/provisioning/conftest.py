"""A sandbox with a function that nobody can call yet, and APIs that lead nowhere."""

import contextlib
import io
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

import sandbox
from sandbox.client import ROLE, Sandbox, zipped
from streams.rotation import engine
from tests.provisioning.proxy import CountingProxy

ROOT = Path(__file__).resolve().parents[2]
HANDLER = ROOT / "functions" / "python"
BODY = b"a,b\n1,2\n" * 1000
OTHERS = {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "orders.csv", "LOG_LEVEL": "info"}


@pytest.fixture(scope="package")
def aws() -> Iterator[Sandbox]:
    settings = sandbox.Settings(propagation_seconds=0.5, strict_mappings=True, strict_updates=True)
    with sandbox.running(settings) as running:
        running.put_object("exports", "orders.csv", BODY)
        yield running


@pytest.fixture
def proxy(aws: Sandbox) -> Iterator[CountingProxy]:
    made = CountingProxy(aws.url)
    yield made
    made.close()


@dataclass
class Site:
    """One function, and the ways to look at it. Everything provisioned goes through `proxy`."""

    aws: Sandbox
    proxy: CountingProxy
    name: str
    told: str = field(default="", repr=False)

    def deploy(self, handler: str = "app.handler", **variables: str) -> None:
        self.aws.client("lambda").create_function(
            FunctionName=self.name,
            Code={"ZipFile": zipped(HANDLER)},
            Runtime="provided.al2023",
            Handler=handler,
            Role=ROLE,
            Timeout=30,
            Environment={"Variables": {**OTHERS, **variables}},
        )

    def rest_api(self) -> str:
        """One with something else in it, that is deployed."""
        made = self.aws.rest_api(self.name, "https://example.com/", "x-other", "o" * 20)
        return made.api_id

    def http_api(self, *, auto_deploy: bool = True) -> str:
        made = self.aws.http_api(
            self.name, "https://example.com/", "x-other", "o" * 20, auto_deploy=auto_deploy
        )
        return made.api_id

    def provision(self, *words: str) -> dict[str, Any]:
        """What it tells as JSON. Raises `CommandError`."""
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command(
                "provision", self.name, "--slug", "orders", "--region", self.aws.region, "--json",
                *words, stdout=out, stderr=err,
            )  # fmt: skip
        except CommandError as exc:
            self.told += str(exc)
            raise
        finally:
            self.told += out.getvalue() + err.getvalue()
        found: dict[str, Any] = json.loads(out.getvalue())
        return found

    def rest_words(self, api_id: str) -> list[str]:
        url = f"{self.aws.url}/_rest/{api_id}/prod/exports/orders"
        return ["--rest-api", api_id, "--path", "/exports/orders", "--gateway-url", url]

    def http_words(self, api_id: str) -> list[str]:
        url = f"{self.aws.url}/_http/{api_id}/$default/orders"
        return ["--http-api", api_id, "--path", "/orders", "--gateway-url", url]

    def variables(self) -> dict[str, str]:
        answer = self.aws.client("lambda").get_function_configuration(FunctionName=self.name)
        found: dict[str, str] = answer["Environment"]["Variables"]
        return found

    def snapshot(self, *api_ids: str) -> dict[str, Any]:
        """All there is in AWS that a run may change, without ids and revisions."""
        functions = self.aws.client("lambda")
        found: dict[str, Any] = {"variables": self.variables(), "apis": [], "policy": []}
        with contextlib.suppress(functions.exceptions.ResourceNotFoundException):
            url = functions.get_function_url_config(FunctionName=self.name)
            found["url"] = (url["AuthType"], url.get("InvokeMode"))
        with contextlib.suppress(functions.exceptions.ResourceNotFoundException):
            policy = functions.get_policy(FunctionName=self.name)["Policy"]
            found["policy"] = json.loads(policy)["Statement"]
        for api_id in api_ids:
            found["apis"].append(_rest(self.aws, api_id) or _http(self.aws, api_id))
        return found


def _rest(aws: Sandbox, api_id: str) -> Any:
    apis = aws.client("apigateway")
    try:
        items = apis.get_resources(restApiId=api_id, embed=["methods"])["items"]
    except apis.exceptions.NotFoundException:
        return None
    stages = apis.get_stages(restApiId=api_id)["item"]
    return (
        {item["path"]: item.get("resourceMethods") for item in items},
        [(stage["stageName"], stage["deploymentId"]) for stage in stages],
        len(apis.get_deployments(restApiId=api_id)["items"]),
    )


def _http(aws: Sandbox, api_id: str) -> Any:
    apis = aws.client("apigatewayv2")
    stages = apis.get_stages(ApiId=api_id)["Items"]
    return (
        apis.get_routes(ApiId=api_id)["Items"],
        apis.get_integrations(ApiId=api_id)["Items"],
        [(stage["StageName"], stage.get("DeploymentId")) for stage in stages],
    )


@pytest.fixture
def site(
    aws: Sandbox,
    proxy: CountingProxy,
    transactional_db: None,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = 3.0
    settings.PRIVATE_ORIGINS = [ip_network("127.0.0.0/8")]
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    engine.account.cache_clear()
    yield Site(aws, proxy, f"orders-{secrets.token_hex(4)}")
    engine.account.cache_clear()
