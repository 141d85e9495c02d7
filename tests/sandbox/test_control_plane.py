"""What the front adds to the emulator's control plane."""

import botocore.exceptions
import pytest

from tests.sandbox.conftest import Running, get


def test_every_answer_shows_where_a_url_is_served(usual: Running) -> None:
    url = usual.deploy("echo")
    functions = usual.aws.client("lambda")

    got = functions.get_function_url_config(FunctionName=usual.name)
    listed = functions.list_function_url_configs(FunctionName=usual.name)["FunctionUrlConfigs"]

    assert url.startswith(f"{usual.aws.url}/_lambda-url/")
    assert got["FunctionUrl"] == url
    assert [config["FunctionUrl"] for config in listed] == [url]


def test_a_url_of_an_alias_shows_the_alias(usual: Running) -> None:
    usual.deploy("echo")
    functions = usual.aws.client("lambda")
    functions.publish_version(FunctionName=usual.name)
    functions.create_alias(FunctionName=usual.name, Name="live", FunctionVersion="1")
    url = usual.aws.function_url(usual.name, qualifier="live")

    listed = functions.list_function_url_configs(FunctionName=usual.name)["FunctionUrlConfigs"]

    (arn,) = (config["FunctionArn"] for config in listed if config["FunctionUrl"] == url)
    assert arn.endswith(f":function:{usual.name}:live")


def test_a_stale_revision_is_refused(usual: Running) -> None:
    usual.deploy("echo")
    functions = usual.aws.client("lambda")
    stale = functions.get_function_configuration(FunctionName=usual.name)["RevisionId"]
    update = {"FunctionName": usual.name, "RevisionId": stale}
    functions.update_function_configuration(**update, Description="first")

    with pytest.raises(functions.exceptions.PreconditionFailedException):
        functions.update_function_configuration(**update, Description="second")


def test_an_update_may_be_refused_while_another_runs(tuned: Running) -> None:
    tuned.deploy("echo")
    functions = tuned.aws.client("lambda")
    waiter = functions.get_waiter("function_updated_v2")
    waiter.config.delay = 0.1
    waiter.wait(FunctionName=tuned.name)
    functions.update_function_configuration(FunctionName=tuned.name, Description="first")

    with pytest.raises(functions.exceptions.ResourceConflictException):
        functions.update_function_configuration(FunctionName=tuned.name, Description="second")

    waiter.wait(FunctionName=tuned.name)
    functions.update_function_configuration(FunctionName=tuned.name, Description="third")


def test_the_transfer_mode_of_an_integration_is_kept(usual: Running) -> None:
    url = usual.deploy("echo")
    gateway = usual.aws.rest_api(usual.name, url, "x-secret-header", "v", stream=True)

    integration = usual.aws.client("apigateway").get_integration(
        restApiId=gateway.api_id, resourceId=gateway.resource_id, httpMethod="GET"
    )

    assert integration["responseTransferMode"] == "STREAM"


def test_a_rest_api_becomes_one_of_another_type(usual: Running) -> None:
    apis = usual.aws.client("apigateway")
    edge = {"types": ["EDGE"]}
    api = apis.create_rest_api(name="edge", endpointConfiguration=edge)["id"]

    path = "/endpointConfiguration/types/EDGE"
    apis.update_rest_api(
        restApiId=api, patchOperations=[{"op": "replace", "path": path, "value": "REGIONAL"}]
    )

    assert apis.get_rest_api(restApiId=api)["endpointConfiguration"]["types"] == ["REGIONAL"]


def test_a_deployment_moves_the_stage_of_an_http_api(usual: Running) -> None:
    url = usual.deploy("echo")
    gateway = usual.aws.http_api(
        usual.name, url, "x-secret-header", "v", auto_deploy=False, stage="prod"
    )
    apis = usual.aws.client("apigatewayv2")

    deployment = apis.create_deployment(ApiId=gateway.api_id, StageName="prod")["DeploymentId"]

    stage = apis.get_stage(ApiId=gateway.api_id, StageName="prod")
    assert stage["DeploymentId"] == deployment


def test_a_function_in_another_region_is_another_function(usual: Running) -> None:
    usual.deploy("echo")
    elsewhere = usual.aws.client("lambda", region_name="us-east-1")

    with pytest.raises(botocore.exceptions.ClientError, match="Function not found"):
        elsewhere.get_function_configuration(FunctionName=usual.name)


def test_a_deleted_function_answers_no_more(usual: Running) -> None:
    url = usual.deploy("echo")
    get(url)

    usual.aws.client("lambda").delete_function(FunctionName=usual.name)

    assert get(url).status == 403
