"""API Gateway: mappings as each kind understands them, deployments, and limits."""

import json
import time
from typing import Any

import botocore.exceptions
import pytest

from sandbox.client import Gateway
from tests.sandbox.conftest import MIB, Answer, Running, get

HEADER = "x-secret-header"
MAPPING = f"/requestParameters/integration.request.header.{HEADER}"


def sent(answer: Answer) -> str | None:
    """The header as it reached the function."""
    found: dict[str, str] = json.loads(answer.body)["headers"]
    return found.get(HEADER)


def rest(running: Running, value: str, handler: str = "secret", **options: Any) -> Gateway:
    url = running.deploy(handler, {"SECRET_HEADER": value})
    return running.aws.rest_api(running.name, url, HEADER, value, **options)


def remap(running: Running, gateway: Gateway, value: str, *, deploy: bool = True) -> str:
    apis = running.aws.client("apigateway")
    apis.update_integration(
        restApiId=gateway.api_id,
        resourceId=gateway.resource_id,
        httpMethod="GET",
        patchOperations=[{"op": "replace", "path": MAPPING, "value": value}],
    )
    if not deploy:
        return ""
    where = {"restApiId": gateway.api_id, "stageName": gateway.stage}
    return str(apis.create_deployment(**where)["id"])


def test_a_quoted_value_reaches_the_function_without_its_quotes(usual: Running) -> None:
    gateway = rest(usual, "s3cret")

    answer = get(gateway.url + "?a=b%20c", headers={HEADER: "the caller's own"})

    assert (answer.status, sent(answer)) == (200, "s3cret")


def test_an_unquoted_value_is_never_sent(usual: Running) -> None:
    gateway = rest(usual, "s3cret")
    remap(usual, gateway, "s3cret")
    time.sleep(1.1)

    answer = get(gateway.url)

    assert (answer.status, sent(answer)) == (403, None)


def test_an_unquoted_value_may_be_refused_with_its_echo(tuned: Running) -> None:
    gateway = rest(tuned, "s3cret")

    with pytest.raises(botocore.exceptions.ClientError, match="expression specified: new") as told:
        remap(tuned, gateway, "new")

    assert told.value.response["Error"]["Code"] == "BadRequestException"


def test_a_change_is_not_live_until_it_is_deployed(usual: Running) -> None:
    gateway = rest(usual, "old")
    remap(usual, gateway, "'new'", deploy=False)
    time.sleep(1.1)

    assert {sent(get(gateway.url)) for _ in range(10)} == {"old"}


def test_a_deployment_spreads(usual: Running) -> None:
    gateway = rest(usual, "old")

    remap(usual, gateway, "'new'")

    assert {sent(get(gateway.url)) for _ in range(20)} == {"old", "new"}
    time.sleep(1.1)
    assert {sent(get(gateway.url)) for _ in range(10)} == {"new"}


def test_a_stage_goes_back_to_an_earlier_deployment(tuned: Running) -> None:
    gateway = rest(tuned, "old")
    apis = tuned.aws.client("apigateway")
    where = {"restApiId": gateway.api_id, "stageName": gateway.stage}
    old = apis.get_stage(**where)["deploymentId"]
    remap(tuned, gateway, "'new'")
    assert sent(get(gateway.url)) == "new"

    back = {"op": "replace", "path": "/deploymentId", "value": old}
    apis.update_stage(**where, patchOperations=[back])

    assert sent(get(gateway.url)) == "old"


def test_a_stage_variable_needs_no_deployment(tuned: Running) -> None:
    gateway = rest(tuned, "old")
    remap(tuned, gateway, "stageVariables.secret")

    tuned.aws.client("apigateway").update_stage(
        restApiId=gateway.api_id,
        stageName=gateway.stage,
        patchOperations=[{"op": "replace", "path": "/variables/secret", "value": "new"}],
    )

    assert sent(get(gateway.url)) == "new"


def exported(running: Running, gateway: Gateway, stage: str) -> dict[str, str]:
    """What the export of the stage maps."""
    export = running.aws.client("apigateway").get_export(
        restApiId=gateway.api_id,
        stageName=stage,
        exportType="oas30",
        parameters={"extensions": "integrations"},
    )
    document = json.loads(export["body"].read())
    integration = document["paths"]["/export"]["get"]["x-amazon-apigateway-integration"]
    mapped: dict[str, str] = integration["requestParameters"]
    return mapped


def test_the_export_shows_what_is_deployed(usual: Running) -> None:
    gateway = rest(usual, "old")
    remap(usual, gateway, "'new'", deploy=False)

    assert exported(usual, gateway, gateway.stage) == {
        f"integration.request.header.{HEADER}": "'old'"
    }


def test_so_it_does_where_the_stage_was_made_after_its_deployment(usual: Running) -> None:
    """As Terraform makes them."""
    gateway = rest(usual, "old")
    apis = usual.aws.client("apigateway")
    made = apis.create_deployment(restApiId=gateway.api_id)["id"]
    apis.create_stage(restApiId=gateway.api_id, stageName="late", deploymentId=made)
    remap(usual, gateway, "'new'", deploy=False)

    assert exported(usual, gateway, "late") == {f"integration.request.header.{HEADER}": "'old'"}


def test_a_path_without_a_method_is_refused(usual: Running) -> None:
    gateway = rest(usual, "s3cret")

    answer = get(gateway.url.replace("/export", "/other"))

    assert (answer.status, json.loads(answer.body)) == (
        403,
        {"message": "Missing Authentication Token"},
    )


def test_path_variables_reach_the_backend(tuned: Running) -> None:
    gateway = rest(tuned, "s3cret", "echo")
    apis = tuned.aws.client("apigateway")
    resource = apis.create_resource(
        restApiId=gateway.api_id, parentId=gateway.resource_id, pathPart="{proxy+}"
    )["id"]
    where = {"restApiId": gateway.api_id, "resourceId": resource, "httpMethod": "ANY"}
    apis.put_method(**where, authorizationType="NONE")
    apis.put_integration(
        **where,
        type="HTTP_PROXY",
        integrationHttpMethod="ANY",
        uri=tuned.aws.function_url(tuned.name) + "deep/{proxy}",
        requestParameters={"integration.request.path.proxy": "method.request.path.proxy"},
    )
    apis.create_deployment(restApiId=gateway.api_id, stageName=gateway.stage)

    event = json.loads(get(gateway.url + "/a/b?x=1").body)["event"]

    assert (event["rawPath"], event["rawQueryString"]) == ("/deep/a/b", "x=1")


def test_a_buffered_gateway_stops_at_10_mb(usual: Running) -> None:
    gateway = rest(usual, "s3cret", "bulk")

    small, large = (get(f"{gateway.url}?size={size}") for size in (9 * MIB, 11 * MIB))

    assert (small.status, len(small.body)) == (200, 9 * MIB)
    assert (large.status, json.loads(large.body)) == (500, {"message": "Internal server error"})


def test_a_streaming_integration_goes_past_10_mb(usual: Running) -> None:
    gateway = rest(usual, "s3cret", "bulk", stream=True)

    answer = get(f"{gateway.url}?size={20 * MIB}")

    assert (answer.status, len(answer.body)) == (200, 20 * MIB)


def test_a_stream_that_breaks_is_cut_by_the_gateway_too(usual: Running) -> None:
    gateway = rest(usual, "s3cret", "midway", stream=True)

    answer = get(f"{gateway.url}?how=die")

    assert answer.cut
    assert answer.body == b"half a body"


def test_a_stream_that_takes_longer_than_its_time_out_is_cut(usual: Running) -> None:
    gateway = rest(usual, "s3cret", "midway", stream=True, seconds=1)

    answer = get(f"{gateway.url}?how=hang")

    assert answer.cut
    assert answer.body == b"half a body"


def test_a_buffered_gateway_waits_for_as_long_as_its_integration_says(usual: Running) -> None:
    gateway = rest(usual, "s3cret", "slow", seconds=0.5)

    assert get(f"{gateway.url}?seconds=0").status == 200
    assert get(f"{gateway.url}?seconds=1").status == 504


def test_a_buffered_gateway_answers_502_for_a_broken_backend(usual: Running) -> None:
    assert get(f"{rest(usual, 's3cret', 'midway').url}?how=die").status == 502


def test_a_slow_backend_times_out(tuned: Running) -> None:
    url = tuned.deploy("slow")
    rest_url = tuned.aws.rest_api(tuned.name, url, HEADER, "x").url
    http_url = tuned.aws.http_api(tuned.name, url, HEADER, "x").url

    by_rest, by_http = get(f"{rest_url}?seconds=2"), get(f"{http_url}?seconds=2")

    assert (by_rest.status, json.loads(by_rest.body)) == (
        504,
        {"message": "Endpoint request timed out"},
    )
    assert (by_http.status, json.loads(by_http.body)) == (503, {"message": "Service Unavailable"})


def http(running: Running, value: str, **options: Any) -> Gateway:
    url = running.deploy("secret", {"SECRET_HEADER": "s3cret"})
    return running.aws.http_api(running.name, url, HEADER, value, **options)


def update(running: Running, gateway: Gateway, mappings: dict[str, str]) -> dict[str, Any]:
    answer: dict[str, Any] = running.aws.client("apigatewayv2").update_integration(
        ApiId=gateway.api_id, IntegrationId=gateway.integration_id, RequestParameters=mappings
    )
    return answer


def test_an_http_api_overwrites_with_the_raw_value(usual: Running) -> None:
    gateway = http(usual, "s3cret")

    answer = get(gateway.url, headers={HEADER: "the caller's own"})

    assert (answer.status, sent(answer)) == (200, "s3cret")


def test_quotes_in_an_http_api_are_sent(usual: Running) -> None:
    answer = get(http(usual, "'s3cret'").url)

    assert (answer.status, sent(answer)) == (403, "'s3cret'")


def test_append_keeps_what_the_caller_sent(tuned: Running) -> None:
    gateway = http(tuned, "s3cret")
    update(tuned, gateway, {f"overwrite:header.{HEADER}": "", f"append:header.{HEADER}": "s3cret"})

    assert sent(get(gateway.url, headers={HEADER: "mine"})) == "mine,s3cret"


def test_an_update_leaves_other_mappings_alone(usual: Running) -> None:
    gateway = http(usual, "s3cret")

    answer = update(usual, gateway, {"overwrite:header.x-other": "1"})
    removed = update(usual, gateway, {"overwrite:header.x-other": ""})

    kept = {f"overwrite:header.{HEADER}": "s3cret"}
    assert answer["RequestParameters"] == kept | {"overwrite:header.x-other": "1"}
    assert removed["RequestParameters"] == kept


def test_the_default_stage_needs_no_name(usual: Running) -> None:
    gateway = http(usual, "s3cret")

    assert get(gateway.url.replace("/$default", "")).status == 200


def test_auto_deploy_spreads_at_once(usual: Running) -> None:
    gateway = http(usual, "s3cret")
    get(gateway.url)

    update(usual, gateway, {f"overwrite:header.{HEADER}": "new"})

    assert {sent(get(gateway.url)) for _ in range(20)} == {"s3cret", "new"}
    time.sleep(1.1)
    assert {sent(get(gateway.url)) for _ in range(10)} == {"new"}


def test_without_auto_deploy_a_deployment_is_needed(tuned: Running) -> None:
    gateway = http(tuned, "s3cret", auto_deploy=False, stage="prod")
    update(tuned, gateway, {f"overwrite:header.{HEADER}": "new"})
    before = sent(get(gateway.url))

    tuned.aws.client("apigatewayv2").create_deployment(ApiId=gateway.api_id, StageName="prod")

    assert (before, sent(get(gateway.url))) == ("s3cret", "new")


def test_an_unknown_api_is_refused(usual: Running) -> None:
    by_rest, by_http = (get(f"{usual.aws.url}/{kind}/nosuch/prod/x") for kind in ("_rest", "_http"))

    assert (by_rest.status, by_http.status) == (403, 404)
