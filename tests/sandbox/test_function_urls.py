"""Function URLs: who may call, what arrives, and how a broken stream looks."""

import contextlib
import json
import socket
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from tests.sandbox.conftest import MIB, Running, get, until

GARBAGE = [
    "no metadata",
    "endless metadata",
    "not json",
    "not an object",
    "no such status",
    "a header of two lines",
    "cookies of another kind",
]


def signed(
    url: str, *, key: str = "test", secret: str = "test", token: str | None = None
) -> dict[str, str]:
    request = botocore.awsrequest.AWSRequest("GET", url)
    credentials = botocore.credentials.Credentials(key, secret, token)
    botocore.auth.SigV4Auth(credentials, "lambda", "eu-central-1").add_auth(request)
    return dict(request.headers.items())


def test_an_unknown_url_is_refused_as_aws_does(usual: Running) -> None:
    answer = get(f"{usual.aws.url}/_lambda-url/nosuchurl/")

    assert (answer.status, json.loads(answer.body)) == (403, {"Message": None})


def test_a_deleted_url_is_refused_at_once(usual: Running) -> None:
    url = usual.deploy("echo")
    assert get(url).status == 206

    usual.aws.client("lambda").delete_function_url_config(FunctionName=usual.name)

    assert json.loads(get(url).body) == {"Message": None}


@pytest.mark.parametrize("missing", ["public-url", "public-invoke"])
def test_without_one_of_the_two_statements_nothing_is_invoked(usual: Running, missing: str) -> None:
    url = usual.deploy("echo")
    usual.aws.client("lambda").remove_permission(FunctionName=usual.name, StatementId=missing)

    answer = get(url)

    assert answer.status == 403
    assert answer.headers["x-amzn-ErrorType"] == "AccessDeniedException"
    logs = usual.state / "logs"
    assert not (logs / f"{usual.name}.log").exists(), "a process was started"


def test_a_statement_for_another_auth_type_opens_nothing(usual: Running) -> None:
    url = usual.deploy("echo", policies=False)
    usual.aws.open_to_everyone(usual.name, "AWS_IAM")

    assert get(url).status == 403


def test_an_iam_url_wants_a_signature(usual: Running) -> None:
    url = usual.deploy("echo", url_auth="AWS_IAM")

    unsigned, good = get(url), get(url, headers=signed(url))
    wrong = get(url, headers=signed(url, secret="wrong"))
    unknown = get(url, headers=signed(url, key="unknown"))

    assert unsigned.status == 403
    assert unsigned.headers["x-amzn-ErrorType"] == "AccessDeniedException"
    assert good.status == 206
    assert wrong.status == 403
    assert b"signature we calculated does not match" in wrong.body
    assert unknown.status == 403
    assert b"security token" in unknown.body


def test_a_signature_covers_path_and_query(usual: Running) -> None:
    url = usual.deploy("echo", url_auth="AWS_IAM") + "a%20b/c?x=1&a=%2F&empty="
    headers = signed(url)

    assert get(url, headers=headers).status == 206
    assert get(url + "&more=1", headers=headers).status == 403
    assert get(url.replace("/c?", "/d?"), headers=headers).status == 403


def test_an_unsigned_payload_is_refused(usual: Running) -> None:
    url = usual.deploy("echo", url_auth="AWS_IAM")
    headers = signed(url) | {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}

    assert get(url, headers=headers).status == 403


def test_credentials_of_an_assumed_role_sign_too(usual: Running) -> None:
    url = usual.deploy("echo", url_auth="AWS_IAM")
    usual.aws.client("iam").create_role(RoleName="caller", AssumeRolePolicyDocument="{}")
    role = usual.aws.client("sts").assume_role(
        RoleArn="arn:aws:iam::000000000000:role/caller", RoleSessionName="test"
    )["Credentials"]
    key, secret = role["AccessKeyId"], role["SecretAccessKey"]

    good = get(url, headers=signed(url, key=key, secret=secret, token=role["SessionToken"]))
    without_token = get(url, headers=signed(url, key=key, secret=secret))

    assert (good.status, without_token.status) == (206, 403)


def test_metadata_becomes_status_headers_and_cookies(usual: Running) -> None:
    answer = get(usual.deploy("echo"))

    assert answer.status == 206
    assert answer.headers["X-Custom"] == "yes"
    assert answer.headers.get_all("Set-Cookie") == ["a=1; Path=/", "b=2"]
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Connection"] != "x"


def test_the_event_has_payload_format_2(usual: Running) -> None:
    answer = get(usual.deploy("echo") + "a/b%20c?x=1&y=%26", headers={"X-Secret-Header": "v"})

    event = json.loads(answer.body)["event"]
    assert (event["rawPath"], event["rawQueryString"]) == ("/a/b%20c", "x=1&y=%26")
    assert event["queryStringParameters"] == {"x": "1", "y": "&"}
    assert event["headers"]["x-secret-header"] == "v"
    assert event["requestContext"]["http"]["method"] == "GET"


def test_the_process_gets_the_functions_environment_and_not_ours(
    usual: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = json.loads(get(usual.deploy("echo", {"MINE": "1"})).body)["env"]

    assert environment["MINE"] == "1"
    assert environment["AWS_ENDPOINT_URL"] == usual.aws.url
    assert "PYTEST_CURRENT_TEST" not in environment


def test_metadata_may_arrive_byte_by_byte(usual: Running) -> None:
    answer = get(usual.deploy("split"))

    assert (answer.status, answer.headers["X-Split"], answer.body) == (200, "yes", b"body")


def test_a_stream_without_metadata_passes_as_it_is(usual: Running) -> None:
    answer = get(usual.deploy("plain.stream"))

    assert (answer.status, answer.body) == (200, b"no metadata")
    assert answer.headers["Content-Type"] == "text/plain"


def test_a_content_length_in_the_metadata_passes(usual: Running) -> None:
    answer = get(usual.deploy("bulk") + "?size=1000&length=1000")

    assert answer.headers["Content-Length"] == "1000"
    assert answer.headers["Transfer-Encoding"] is None
    assert len(answer.body) == 1000


def test_a_content_length_that_is_not_reached_is_a_cut(usual: Running) -> None:
    answer = get(usual.deploy("bulk") + "?size=900&length=1000")

    assert answer.cut
    assert len(answer.body) == 900


def test_head_has_no_body(usual: Running) -> None:
    answer = get(usual.deploy("bulk") + "?size=100000", method="HEAD")

    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("how", ["die", "report"])
def test_a_failure_midway_cuts_the_body(usual: Running, how: str) -> None:
    answer = get(f"{usual.deploy('midway')}?how={how}")

    assert answer.cut
    assert (answer.status, answer.body) == (200, b"half a body")


def test_a_failure_midway_cuts_a_body_with_a_length(usual: Running) -> None:
    answer = get(f"{usual.deploy('midway')}?how=die&Content-Length=100")

    assert answer.cut
    assert answer.body == b"half a body"


def test_a_time_out_midway_cuts_the_body(usual: Running) -> None:
    started = time.monotonic()

    answer = get(f"{usual.deploy('midway', timeout=1)}?how=hang")

    assert answer.cut
    assert answer.body == b"half a body"
    assert 0.9 < time.monotonic() - started < 5


def test_a_cut_is_a_reset_for_clients_that_know_no_chunks(usual: Running) -> None:
    parts = urllib.parse.urlsplit(usual.deploy("midway"))
    with socket.create_connection((parts.hostname, parts.port)) as client:
        client.sendall(f"GET {parts.path}?how=die HTTP/1.0\r\n\r\n".encode())

        with pytest.raises(ConnectionResetError):
            b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize("handler", ["fails.first", "broken.init", "no.such.handler"])
def test_a_failure_before_the_first_byte_is_502(usual: Running, handler: str) -> None:
    answer = get(usual.deploy(handler))

    assert (answer.status, answer.body) == (502, b"Internal Server Error")


@pytest.mark.parametrize("kind", GARBAGE)
def test_metadata_that_makes_no_sense_is_502(usual: Running, kind: str) -> None:
    url = usual.deploy("garbage", {"GARBAGE": kind})

    assert [get(url).status for _ in range(2)] == [502, 502]


def test_a_body_that_breaks_its_framing_is_cut(usual: Running) -> None:
    answer = get(usual.deploy("bad_chunk"))

    assert answer.cut
    assert answer.body == b"begun"


def test_the_runtime_api_refuses_what_comes_too_late(usual: Running) -> None:
    answer = get(usual.deploy("twice"))

    assert json.loads(answer.body) == [400, 403, 403]


def test_a_function_that_never_answers_times_out(usual: Running) -> None:
    answer = get(usual.deploy("hang.first", timeout=1))

    assert answer.status == 502


def test_a_process_that_died_is_replaced(usual: Running) -> None:
    url = usual.deploy("midway")
    get(f"{url}?how=die")

    assert get(f"{url}?how=die").body == b"half a body"


def test_an_idle_process_is_used_again(usual: Running) -> None:
    url = usual.deploy("echo")

    pids = {json.loads(get(url).body)["pid"] for _ in range(5)}

    assert len(pids) == 1


def test_more_requests_than_processes_are_throttled(usual: Running) -> None:
    url = usual.deploy("slow") + "?seconds=1"
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(get, [url] * 5))

    throttled = [answer for answer in answers if answer.status == 429]
    assert len(throttled) == 2
    assert throttled[0].headers["Retry-After"] == "1"
    assert b"ReservedFunctionConcurrentInvocationLimitExceeded" in throttled[0].body


def test_a_buffered_url_passes_a_stream_undecoded(usual: Running) -> None:
    answer = get(usual.deploy("split", invoke_mode="BUFFERED"))

    assert answer.status == 200
    kind = "application/vnd.awslambda.http-integration-response"
    assert answer.headers["Content-Type"] == kind
    assert answer.body.endswith(b"\0" * 8 + b"body")


def test_a_url_changes_its_mode(usual: Running) -> None:
    url = usual.deploy("split", invoke_mode="BUFFERED")

    usual.aws.client("lambda").update_function_url_config(
        FunctionName=usual.name, InvokeMode="RESPONSE_STREAM"
    )

    assert get(url).body == b"body"


def test_a_whole_response_becomes_http(usual: Running) -> None:
    answer = get(usual.deploy("returns.json", invoke_mode="BUFFERED"))

    assert (answer.status, answer.headers["X-Whole"], answer.body) == (201, "yes", b"hi")


def test_a_whole_response_past_its_limit_is_502_and_the_runtime_hears_413(usual: Running) -> None:
    answer = get(usual.deploy("returns.much", invoke_mode="BUFFERED"))

    assert answer.status == 502
    assert until(lambda: "Http response code: 413" in usual.log or "Broken pipe" in usual.log)


def test_a_buffered_url_stops_streams_at_6_mb(usual: Running) -> None:
    url = usual.deploy("bulk", invoke_mode="BUFFERED")

    small, large = get(f"{url}?size={6 * MIB - 100}"), get(f"{url}?size={6 * MIB + 101}")

    assert (small.status, large.status) == (200, 502)


def test_a_stream_past_200_mb_is_cut_there(usual: Running) -> None:
    answer = get(f"{usual.deploy('bulk')}?size={201 * MIB}")

    assert answer.cut
    # The metadata counts as well.
    assert 200 * MIB - 100 < len(answer.body) < 200 * MIB


def test_a_client_that_leaves_does_not_stop_the_function(usual: Running, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    url = usual.deploy("bulk", {"MARK": str(mark)}) + f"?size={50 * MIB}"

    leave_early(url)

    assert until(mark.exists)
    assert until(lambda: "ended with 202" in usual.log)


def test_a_client_that_reads_nothing_holds_the_function_back(
    usual: Running, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    url = usual.deploy("bulk", {"MARK": str(mark)}) + f"?size={150 * MIB}"
    get(url.replace(str(150 * MIB), "10"))
    mark.unlink()
    before = resident(usual.aws.pid)

    with connected(url) as client:
        client.recv(1000)
        time.sleep(1.5)
        grown = resident(usual.aws.pid) - before
        assert not mark.exists(), "the function was not held back"

    assert grown < 10 * MIB
    # And once the client is gone, the rest is drained.
    assert until(mark.exists)


def test_a_url_of_an_alias_serves_its_version(usual: Running) -> None:
    usual.deploy("echo", {"RELEASE": "one"})
    functions = usual.aws.client("lambda")
    version = functions.publish_version(FunctionName=usual.name)["Version"]
    functions.create_alias(FunctionName=usual.name, Name="live", FunctionVersion=version)
    url = usual.aws.function_url(usual.name, qualifier="live")
    assert get(url).status == 403, "the alias needs statements of its own"
    usual.aws.open_to_everyone(usual.name, qualifier="live")
    variables = {"Variables": {"RELEASE": "two"}}
    functions.update_function_configuration(FunctionName=usual.name, Environment=variables)

    served = json.loads(get(url).body)["env"]

    assert (served["RELEASE"], served["AWS_LAMBDA_FUNCTION_VERSION"]) == ("one", version)


def test_a_weighted_alias_serves_both_versions(usual: Running) -> None:
    usual.deploy("echo", {"RELEASE": "one"})
    functions = usual.aws.client("lambda")
    functions.publish_version(FunctionName=usual.name)
    variables = {"Variables": {"RELEASE": "two"}}
    functions.update_function_configuration(FunctionName=usual.name, Environment=variables)
    functions.publish_version(FunctionName=usual.name)
    functions.create_alias(
        FunctionName=usual.name,
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )
    usual.aws.open_to_everyone(usual.name, qualifier="live")
    url = usual.aws.function_url(usual.name, qualifier="live")

    served = {json.loads(get(url).body)["env"]["RELEASE"] for _ in range(40)}

    assert served == {"one", "two"}


def test_bandwidth_is_limited_after_the_burst(tuned: Running) -> None:
    url = tuned.deploy("bulk")
    get(f"{url}?size=1")
    started = time.monotonic()

    answer = get(f"{url}?size={5 * MIB // 2}")

    assert len(answer.body) == 5 * MIB // 2
    assert 1.2 < time.monotonic() - started < 3


def test_an_error_midway_may_be_told_in_trailers(tuned: Running) -> None:
    with connected(f"{tuned.deploy('midway')}?how=report") as client:
        raw = b"".join(iter(lambda: client.recv(65536), b""))

    assert (
        b"b\r\nhalf a body\r\n0\r\nLambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n"
        in raw
    )
    assert raw.endswith(b"\r\n\r\n")


def test_a_content_length_may_be_withheld(tuned: Running) -> None:
    answer = get(tuned.deploy("bulk") + "?size=1000&length=1000")

    assert answer.headers["Content-Length"] is None
    assert len(answer.body) == 1000


def test_a_function_may_be_cut_off_when_its_client_leaves(tuned: Running) -> None:
    leave_early(f"{tuned.deploy('bulk')}?size={50 * MIB}")

    assert until(lambda: "broken:" in tuned.log)


def test_a_function_that_never_asks_for_work_fails(tuned: Running, tmp_path: Path) -> None:
    (tmp_path / "bootstrap").write_text("exec sleep 600\n")
    url = tuned.aws.deploy_function("sleeper", tmp_path, "x")

    assert get(url).status == 502


def connected(url: str) -> socket.socket:
    """A client that has sent its request, and reads with a small buffer."""
    parts = urllib.parse.urlsplit(url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.settimeout(20)
    client.connect((parts.hostname, parts.port))
    client.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


def leave_early(url: str) -> None:
    with contextlib.closing(connected(url)) as client:
        client.recv(1000)


def resident(pid: int) -> int:
    """Bytes of memory that the process really uses."""
    fields = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0]) * 1024
