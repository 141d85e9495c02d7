"""One fault at a time of a gateway: exactly its finding appears, and not what follows from it."""

import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from streams.doctor.checks import gateways as checks
from streams.models import Endpoint, Gateway, Secret
from tests.doctor import commands
from tests.doctor.conftest import (
    HANDLER,
    HEADER,
    OTHERS,
    Clinic,
    check_terraform,
    downloaded,
    resources,
)

OTHER = "other-" + "o" * 32


def _rest_maps(clinic: Clinic, value: str | None, *, uri: str = "") -> None:
    """Behind a gateway that maps the header as given."""
    remap(clinic, clinic.rest(), value, uri=uri)


def remap(clinic: Clinic, gateway: Gateway, value: str | None, *, uri: str = "") -> None:
    """Maps the header as given, and deploys."""
    apis = clinic.aws.client("apigateway")
    mapped = {} if value is None else {f"integration.request.header.{HEADER}": value}
    apis.put_integration(
        restApiId=gateway.api_id, resourceId=gateway.resource_id, httpMethod="GET",
        type="HTTP_PROXY", integrationHttpMethod="GET", uri=uri or clinic.url,
        requestParameters=mapped,
    )  # fmt: skip
    apis.create_deployment(restApiId=gateway.api_id, stageName=gateway.stage)


def _http_maps(clinic: Clinic, **mapped: str) -> Gateway:
    gateway, apis = clinic.http(), clinic.aws.client("apigatewayv2")
    where = {"ApiId": gateway.api_id, "IntegrationId": gateway.integration_id}
    names = {f"{action}:header.{HEADER}": value for action, value in mapped.items()}
    apis.update_integration(**where, RequestParameters={f"overwrite:header.{HEADER}": "", **names})
    return gateway


def _absent(clinic: Clinic) -> None:
    _rest_maps(clinic, None)


def _unquoted(clinic: Clinic) -> None:
    _rest_maps(clinic, clinic.value)


def _dynamic(clinic: Clinic) -> None:
    _rest_maps(clinic, "method.request.header.x-from-the-caller")


def _other(clinic: Clinic) -> None:
    _rest_maps(clinic, f"'{OTHER}'")


def _elsewhere(clinic: Clinic) -> None:
    other = clinic.aws.deploy_function(
        f"{clinic.name}-2", HANDLER, "app.handler", {**OTHERS, "SECRET_HEADER": clinic.value}
    )
    _rest_maps(clinic, f"'{clinic.value}'", uri=other)


def test_a_gateway_that_leads_nowhere_is_an_error_beside_the_warning(clinic: Clinic) -> None:
    _rest_maps(clinic, f"'{clinic.value}'", uri="http://127.0.0.1:1/")

    told = clinic.run()

    assert [one["id"] for one in told["findings"]] == ["does-not-open", "integration-elsewhere"]
    assert clinic.status == 1


def _quoted(clinic: Clinic) -> None:
    _http_maps(clinic, overwrite=f"'{clinic.value}'")


def _append(clinic: Clinic) -> None:
    _http_maps(clinic, append=clinic.value)


def _dynamic_http(clinic: Clinic) -> None:
    _http_maps(clinic, overwrite="$request.header.x-from-the-caller")


def _undeployed(clinic: Clinic) -> None:
    gateway = clinic.rest(value=OTHER)
    clinic.aws.client("apigateway").update_integration(
        restApiId=gateway.api_id, resourceId=gateway.resource_id, httpMethod="GET",
        patchOperations=[{
            "op": "replace", "path": f"/requestParameters/integration.request.header.{HEADER}",
            "value": f"'{clinic.value}'",
        }],
    )  # fmt: skip


def _canary(clinic: Clinic) -> None:
    gateway = clinic.rest()
    apis: Any = clinic.aws.client("apigateway")
    apis.update_stage(
        restApiId=gateway.api_id, stageName=gateway.stage,
        patchOperations=[
            {"op": "replace", "path": "/canarySettings/percentTraffic", "value": "10"}
        ],
    )  # fmt: skip


def _stage_variable(clinic: Clinic) -> None:
    gateway = clinic.rest()
    clinic.aws.client("apigateway").update_stage(
        restApiId=gateway.api_id, stageName=gateway.stage,
        patchOperations=[
            {"op": "replace", "path": "/variables/secret", "value": clinic.value}
        ],
    )  # fmt: skip
    _map_to_variable(clinic, gateway)


def _map_to_variable(clinic: Clinic, gateway: Gateway) -> None:
    apis = clinic.aws.client("apigateway")
    apis.put_integration(
        restApiId=gateway.api_id, resourceId=gateway.resource_id, httpMethod="GET",
        type="HTTP_PROXY", integrationHttpMethod="GET", uri=clinic.url,
        requestParameters={f"integration.request.header.{HEADER}": "stageVariables.secret"},
    )  # fmt: skip
    apis.create_deployment(restApiId=gateway.api_id, stageName=gateway.stage)


def _gone(clinic: Clinic) -> None:
    gateway = clinic.http()
    clinic.aws.client("apigatewayv2").delete_api(ApiId=gateway.api_id)


def _stage_is_gone(clinic: Clinic) -> None:
    gateway = clinic.rest()
    clinic.aws.client("apigateway").delete_stage(restApiId=gateway.api_id, stageName=gateway.stage)


def _registered_with_another_address(clinic: Clinic) -> None:
    clinic.rest()
    Gateway.objects.update(url=clinic.url)
    Endpoint.objects.filter(kind="gateway").delete()


def _of_another_type(clinic: Clinic) -> None:
    gateway, apis = clinic.rest(), clinic.aws.client("apigateway")
    mapped = {f"integration.request.header.{HEADER}": f"'{clinic.value}'"}
    apis.put_integration(
        restApiId=gateway.api_id, resourceId=gateway.resource_id, httpMethod="GET",
        type="MOCK", requestParameters=mapped,
    )  # fmt: skip
    apis.create_deployment(restApiId=gateway.api_id, stageName=gateway.stage)


def _header_is_reserved(clinic: Clinic) -> None:
    """The registry does not take such a header; one from before it knew better may be there."""
    Secret.objects.update(header="x-amzn-secret")
    clinic.set_variables(SECRET_HEADER_NAME="x-amzn-secret")
    _rest_maps(clinic, None)


def _calls_the_function_past_its_url(clinic: Clinic) -> None:
    gateway, apis = clinic.rest(), clinic.aws.client("apigateway")
    name = clinic.functions.get_function_configuration(FunctionName=clinic.name)["FunctionArn"]
    apis.put_integration(
        restApiId=gateway.api_id, resourceId=gateway.resource_id, httpMethod="GET",
        type="AWS_PROXY", integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:{clinic.aws.region}:lambda:path/2015-03-31/functions/{name}"
        "/invocations",
    )  # fmt: skip
    apis.create_deployment(restApiId=gateway.api_id, stageName=gateway.stage)


def _too_large(clinic: Clinic) -> None:
    clinic.export(11 << 20)
    clinic.rest()


def _streams_for_too_short_a_time(clinic: Clinic) -> None:
    clinic.export(14 << 20)
    clinic.rest(stream=True, seconds=1)


def _streams_by_way_of_cloudfront(clinic: Clinic) -> None:
    clinic.aws.client("apigateway").create_rest_api(
        name=clinic.name, endpointConfiguration={"types": ["EDGE"]}
    )
    clinic.rest(stream=True)


FAULTS = [
    ("header-unmappable", _header_is_reserved, 1),
    ("integration-type", _of_another_type, 1),
    ("integration-type", _calls_the_function_past_its_url, 1),
    ("gateway-size", _too_large, 1),
    ("gateway-time", _streams_for_too_short_a_time, 0),
    ("gateway-edge-idle", _streams_by_way_of_cloudfront, 0),
    ("mapping-absent", _absent, 1),
    ("mapping-unquoted", _unquoted, 1),
    ("mapping-dynamic", _dynamic, 1),
    ("mapping-dynamic", _dynamic_http, 1),
    ("mapping-quoted", _quoted, 1),
    ("mapping-append", _append, 1),
    ("mapping-differs", _other, 1),
    ("mapping-undeployed", _undeployed, 1),
    ("integration-elsewhere", _elsewhere, 0),
    ("gateway-canary", _canary, 0),
    ("stage-variable", _stage_variable, 0),
    ("gateway-missing", _gone, 1),
    ("stage-missing", _stage_is_gone, 1),
    ("gateway-refused", _registered_with_another_address, 1),
]


@pytest.mark.parametrize(("identity", "break_it", "status"), FAULTS)
def test_exactly_that_fault_is_found(
    clinic: Clinic, identity: str, break_it: Callable[[Clinic], None], status: int
) -> None:
    break_it(clinic)

    told = clinic.run()

    assert [finding["id"] for finding in told["findings"]] == [identity]
    assert clinic.status == status
    check_terraform(identity, told["findings"][0]["terraform"])
    commands.check(identity, told["findings"][0]["cli"])
    assert told["findings"][0]["secret"] == "orders"
    assert OTHER not in clinic.told


def test_terraform_quotes_a_value_for_a_rest_api_alone(clinic: Clinic) -> None:
    _absent(clinic)
    (rest,) = clinic.run()["findings"]
    Gateway.objects.all().delete()
    Endpoint.objects.filter(kind="gateway").delete()
    _append(clinic)
    (http,) = clinic.run()["findings"]

    quoted = resources(rest["terraform"])["aws_api_gateway_integration"]["request_parameters"]
    raw = resources(http["terraform"])["aws_apigatewayv2_integration"]["request_parameters"]

    assert list(quoted.values()) == ["\"'${var.orders_value}'\""]
    assert list(raw.values()) == ['"${var.orders_value}"']


@pytest.mark.slow
@pytest.mark.shows("gateway-time")
def test_a_download_that_a_gateway_gives_up_is_told_and_goes_through_when_mended_as_told(
    clinic: Clinic, upstream: int
) -> None:
    """The function sends no more than AWS lets it: its file takes a second and a half."""
    size = 9 << 20
    clinic.export(size)
    clinic.rest(seconds=1)
    assert clinic.run()["findings"] == []

    refused = downloaded(upstream, "through-rest")
    (finding,) = clinic.run()["findings"]

    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (502, "gateway_limit")
    assert (finding["id"], finding["severity"], clinic.status) == ("gateway-time", "warning", 0)
    assert "is ended after 1 s, and it gave up on the last download." in finding["sentence"]
    check_terraform("gateway-time", finding["terraform"])
    commands.do(clinic.aws, finding["cli"])
    assert downloaded(upstream, "through-rest").body == bytes(size)
    assert clinic.run()["findings"] == []


@pytest.mark.slow
@pytest.mark.shows("stage-older")
def test_a_stage_that_went_back_to_before_the_rotation_is_found_and_mended(
    clinic: Clinic, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stand-in for AWS has the same clock, and tells whole seconds.
    monkeypatch.setattr(checks, "CLOCKS", timedelta(seconds=1))
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 0.2
    gateway = clinic.http(auto_deploy=False)
    # Others alone call it: nobody here can ask what the stage has.
    Gateway.objects.update(url="")
    Endpoint.objects.filter(kind="gateway").delete()
    apis = clinic.aws.client("apigatewayv2")
    where = {"ApiId": gateway.api_id, "StageName": gateway.stage}
    first = apis.get_stage(**where)["DeploymentId"]
    call_command("rotate", "orders", "--wait", stdout=io.StringIO())
    assert clinic.run()["findings"] == []

    apis.update_stage(**where, DeploymentId=first)
    (finding,) = clinic.run()["findings"]

    assert (finding["id"], finding["secret"], clinic.status) == ("stage-older", "orders", 1)
    check_terraform("stage-older", finding["terraform"])
    (line,) = finding["cli"]
    assert line.startswith("aws apigatewayv2 create-deployment")
    commands.do(clinic.aws, [line])
    assert clinic.run()["findings"] == []
