"""InvokeWithResponseStream and Invoke, as boto3 sees them."""

import json
from typing import Any

import pytest

from tests.sandbox.conftest import MIB, Running


def stream(running: Running, event: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """All bytes of the payload, and the event that completes it."""
    answer = running.aws.client("lambda").invoke_with_response_stream(
        FunctionName=running.name, Payload=json.dumps(event)
    )
    payload, complete = b"", dict[str, Any]()
    for part in answer["EventStream"]:
        payload += part.get("PayloadChunk", {}).get("Payload", b"")
        complete = part.get("InvokeComplete", complete)
    return payload, complete


def test_the_payload_is_prelude_nuls_and_body(usual: Running) -> None:
    usual.deploy("split")

    payload, complete = stream(usual, {})

    prelude, _, body = payload.partition(b"\0" * 8)
    assert json.loads(prelude)["headers"] == {"X-Split": "yes"}
    assert body == b"body"
    assert "ErrorCode" not in complete


def test_a_large_payload_arrives_whole(usual: Running) -> None:
    usual.deploy("bulk")

    payload, _ = stream(usual, {"size": 20 * MIB})

    assert payload.partition(b"\0" * 8)[2] == (bytes(range(256)) * 4096 * 20)


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"how": "report"}, "Runtime.StreamError"),
        ({"how": "die"}, "Runtime.TruncatedResponse|Runtime.ExitError"),
    ],
)
def test_a_failure_midway_is_told_at_the_end(
    usual: Running, event: dict[str, Any], code: str
) -> None:
    usual.deploy("midway")

    payload, complete = stream(usual, event)

    assert payload.endswith(b"half a body")
    assert complete["ErrorCode"] in code.split("|")


@pytest.mark.parametrize(
    ("handler", "code"),
    [
        ("fails.first", "Runtime.HandlerError"),
        ("broken.init", "Runtime.ImportError"),
        ("hang.first", "Sandbox.Timeout"),
    ],
)
def test_a_failure_at_first_is_no_http_error(usual: Running, handler: str, code: str) -> None:
    usual.deploy(handler, timeout=1)

    payload, complete = stream(usual, {})

    assert (payload, complete["ErrorCode"]) == (b"", code)


def test_a_function_that_is_not_there_is_an_error(usual: Running) -> None:
    functions = usual.aws.client("lambda")

    with pytest.raises(functions.exceptions.ResourceNotFoundException):
        functions.invoke_with_response_stream(FunctionName="no-such-function")


def test_a_qualifier_names_the_version(usual: Running) -> None:
    usual.deploy("echo", {"RELEASE": "one"})
    functions = usual.aws.client("lambda")
    functions.publish_version(FunctionName=usual.name)

    answer = functions.invoke_with_response_stream(FunctionName=usual.name, Qualifier="1")

    assert answer["ExecutedVersion"] == "1"
    for _ in answer["EventStream"]:
        pass


def test_invoke_returns_the_whole_response(usual: Running) -> None:
    usual.deploy("returns.json")

    answer = usual.aws.client("lambda").invoke(FunctionName=usual.name, Payload=b"{}")

    assert json.loads(answer["Payload"].read())["statusCode"] == 201
    assert "FunctionError" not in answer


def test_invoke_stops_at_6_mb(usual: Running) -> None:
    usual.deploy("returns.much")

    answer = usual.aws.client("lambda").invoke(FunctionName=usual.name)

    assert answer["FunctionError"] == "Unhandled"
    told = json.loads(answer["Payload"].read())
    assert told["errorType"] == "Function.ResponseSizeTooLarge"


def test_throttling_is_an_exception(usual: Running) -> None:
    usual.deploy("midway", timeout=2)
    functions = usual.aws.client("lambda")
    event = json.dumps({"how": "hang"})

    def call() -> Any:
        return functions.invoke_with_response_stream(FunctionName=usual.name, Payload=event)

    busy = [call() for _ in range(3)]
    with pytest.raises(functions.exceptions.TooManyRequestsException) as told:
        call()

    for answer in busy:
        answer["EventStream"].close()
    assert told.value.response["retryAfterSeconds"] == "1"
