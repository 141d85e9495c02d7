"""The runtime in a process of its own, against a Runtime API whose bytes are read by hand."""

import base64
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.functions.conftest import FUNCTION, Function
from tests.functions.fake_runtime_api import FakeRuntimeApi, read_chunks

Run = Callable[..., Function]

ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
ERROR_BODY = "Lambda-Runtime-Function-Error-Body"


def test_a_response_is_the_prelude_eight_nuls_and_the_pieces(api: FakeRuntimeApi, run: Run) -> None:
    run("handlers.greet")

    sent = api.answer_to()

    prelude = (
        b'{"statusCode": 201, "headers": {"Content-Type": "text/plain"}, '
        b'"cookies": ["a=1; Path=/", "b=2"]}'
    )
    assert sent.raw == (
        b"%x\r\n%b\r\n" % (len(prelude), prelude)
        + b"8\r\n\0\0\0\0\0\0\0\0\r\n"
        + b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"
    )
    assert sent.headers == {
        "Host": api.address,
        "Content-Type": "application/vnd.awslambda.http-integration-response",
        "Lambda-Runtime-Function-Response-Mode": "streaming",
        "Transfer-Encoding": "chunked",
        "Trailer": f"{ERROR_TYPE}, {ERROR_BODY}",
    }


def test_a_handler_may_return_its_response(api: FakeRuntimeApi, run: Run) -> None:
    run("handlers.whole")

    sent = api.answer_to()

    assert sent.prelude == {"statusCode": 200, "headers": {"X-Pieces": "3"}, "cookies": []}
    assert sent.chunks[2:] == [b"one,", b"two"]


@pytest.mark.parametrize("event", [{}, {"no_content": True}])
def test_an_empty_body_is_the_prelude_and_the_end(
    api: FakeRuntimeApi, run: Run, event: dict[str, object]
) -> None:
    run("handlers.empty")

    sent = api.answer_to(event)

    assert sent.prelude["statusCode"] == (204 if event else 200)
    assert len(sent.chunks) == 2
    assert sent.body == b""
    assert sent.trailers == {}


def test_a_head_request_gets_the_metadata_alone(api: FakeRuntimeApi, run: Run) -> None:
    run("handlers.endless")
    api.invoke({"requestContext": {"http": {"method": "HEAD"}}})

    sent = api.response()

    assert sent.prelude["statusCode"] == 200
    assert sent.body == b""


def test_the_handler_knows_its_invocation(api: FakeRuntimeApi, run: Run) -> None:
    run("handlers.invocation")

    sent = api.answer_to({"rawPath": "/ä"}, Lambda_Runtime_Trace_Id="Root=1-2-3;Sampled=1")

    known = json.loads(sent.body)
    assert known["event"] == {"rawPath": "/ä"}
    assert known["aws_request_id"] == "request-1"
    assert known["invoked_function_arn"] == "arn:aws:lambda:eu-central-1:1:function:export"
    assert (known["function_name"], known["function_version"]) == ("export", "7")
    assert known["memory_limit_in_mb"] == "512"
    assert known["trace"] == "Root=1-2-3;Sampled=1"
    assert 50_000 < known["remaining"] <= 60_000


def test_one_invocation_follows_another(api: FakeRuntimeApi, run: Run) -> None:
    function = run("handlers.invocation")

    seen = []
    for number in range(5):
        api.invoke({"number": number}, request_id=f"request-{number}")
        known = json.loads(api.response(request_id=f"request-{number}").body)
        seen.append((known["event"]["number"], known["aws_request_id"]))

    assert seen == [(number, f"request-{number}") for number in range(5)]
    assert function.process.poll() is None


@pytest.mark.parametrize(
    ("fails", "error_type", "message"),
    [
        ("before the head", r"\u03a3\u03c6\u03ac\u03bb\u03bc\u03b1Error", "no head"),
        ("before the first byte", "ValueError", "no byte"),
    ],
)
def test_an_error_before_the_first_byte_fails_the_invocation(
    api: FakeRuntimeApi, run: Run, fails: str, error_type: str, message: str
) -> None:
    function = run("handlers.fails")
    api.invoke({"fails": fails})

    headers, report = api.error("/invocation/request-1/error")

    assert headers[ERROR_TYPE] == report["errorType"] == error_type
    assert report["errorMessage"] == message
    assert "in fails" in "".join(report["stackTrace"])
    assert function.wait_for("invocation_failed")["request_id"] == "request-1"
    api.next()


@pytest.mark.parametrize(
    ("handler", "advice"),
    [
        ("forgets_streamify", "@streamify"),
        ("forgets_head", "yield a Head before bytes"),
        ("never_yields", "yield a Head before bytes"),
        ("returns_nothing", "gave NoneType, not a generator"),
        ("forgets_yield", "gave coroutine, not a generator"),
    ],
)
def test_a_handler_of_the_wrong_kind_is_told_what_to_do(
    api: FakeRuntimeApi, run: Run, handler: str, advice: str
) -> None:
    run(f"handlers.{handler}")
    api.invoke()

    _, report = api.error("/invocation/request-1/error")

    assert report["errorType"] == "TypeError"
    assert advice in report["errorMessage"]


@pytest.mark.parametrize("event", [{}, {"late": True}])
def test_an_http_error_before_the_first_byte_is_streamed_with_its_status(
    api: FakeRuntimeApi, run: Run, event: dict[str, object]
) -> None:
    function = run("handlers.refuses")

    sent = api.answer_to(event)

    assert sent.prelude["statusCode"] == 409
    assert sent.prelude["headers"]["Content-Type"] == "application/json"
    assert sent.prelude["headers"]["Retry-After"] == "30"
    assert sent.prelude["headers"]["Content-Length"] == str(len(sent.body))
    assert json.loads(sent.body) == {
        "error": {"code": "not_ready", "message": "The export is being made."}
    }
    assert sent.trailers == {}
    assert function.wait_for("http_error")["code"] == "not_ready"


@pytest.mark.parametrize(
    ("fails", "error_type"),
    [("later", "ConnectionResetError"), ("with a status", "HttpError"), ("by a str", "TypeError")],
)
def test_an_error_after_the_first_byte_is_told_by_the_trailers(
    api: FakeRuntimeApi, run: Run, fails: str, error_type: str
) -> None:
    function = run("handlers.fails")

    sent = api.answer_to({"fails": fails, "after": 70_000})

    assert sent.body == b"x" * 70_000
    assert sent.trailers[ERROR_TYPE] == error_type
    report = json.loads(base64.b64decode(sent.trailers[ERROR_BODY], validate=True))
    assert report["errorType"] == error_type
    assert len(sent.trailers[ERROR_BODY]) < 8000
    assert b"error" not in sent.body
    assert function.wait_for("body_failed")["request_id"] == "request-1"
    api.next()


def test_after_an_api_that_hangs_up_midway_the_generator_is_closed_and_work_goes_on(
    api: FakeRuntimeApi, run: Run
) -> None:
    function = run("handlers.endless")
    api.invoke()
    connection = api.begun()
    next(read_chunks(connection))

    connection.hang_up()

    assert function.wait_for("closed")
    assert function.wait_for("platform_gone")["request_id"] == "request-1"
    api.next()


def test_a_handler_that_does_not_close_cleanly_does_not_end_the_runtime(
    api: FakeRuntimeApi, run: Run
) -> None:
    function = run("handlers.endless")
    api.invoke({"close_fails": True})

    api.begun().hang_up()

    assert function.wait_for("close_failed")["errorType"] == "OSError"
    api.next()


def test_an_api_that_closes_instead_of_accepting_is_survived(api: FakeRuntimeApi, run: Run) -> None:
    function = run("handlers.greet")
    api.invoke()
    connection = api.begun()
    list(read_chunks(connection))

    connection.hang_up()

    assert function.wait_for("platform_gone")
    api.next()


def test_a_response_that_is_too_large_in_the_end_is_logged(api: FakeRuntimeApi, run: Run) -> None:
    function = run("handlers.greet")
    api.invoke()

    api.response(status="413 Request Entity Too Large")

    assert function.wait_for("response_refused")["status"] == 413
    api.next()


def test_a_response_that_is_refused_midway_is_logged_with_the_status(
    api: FakeRuntimeApi, run: Run
) -> None:
    function = run("handlers.endless")
    api.invoke()
    connection = api.begun()
    connection.exactly(1_000_000)

    connection.reply("413 Request Entity Too Large")

    assert function.wait_for("response_refused")["status"] == 413
    assert function.wait_for("closed")
    api.next()


def test_an_error_that_cannot_be_reported_does_not_end_the_runtime(
    api: FakeRuntimeApi, run: Run
) -> None:
    function = run("handlers.fails")
    api.invoke({"fails": "before the head"})

    api.accept().hang_up()

    assert function.wait_for("error_not_reported")
    api.next()


def test_a_reader_that_stops_holds_the_generator_and_memory_stays_flat(
    api: FakeRuntimeApi, run: Run
) -> None:
    function = run("handlers.endless")
    api.invoke()
    connection = api.begun()
    connection.exactly(1_000_000)
    time.sleep(0.5)
    before = _made(function)

    time.sleep(1)

    assert _made(function) == before
    # What the kernel holds between the two, with its limits on this kind of system.
    assert before < 16_000_000
    # Read on, and it goes on where it stopped.
    connection.exactly(50_000_000)
    assert _made(function) > 45_000_000
    assert _peak_memory(function) < 60_000_000


def test_fifty_megabytes_arrive_whole(api: FakeRuntimeApi, run: Run) -> None:
    run("handlers.large")

    sent = api.answer_to({"pieces": 800})

    assert sent.body == bytes(range(256)) * 256 * 800
    assert sent.trailers == {}


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        ("absent.handler", "ModuleNotFoundError"),
        ("handlers.absent", "AttributeError"),
        ("handlers", "ValueError"),
        ("broken.handler", "ZeroDivisionError"),
        ("leaves.handler", "SystemExit"),
    ],
)
def test_a_failed_init_is_posted_and_ends_the_process(
    api: FakeRuntimeApi, run: Run, tmp_path: Path, handler: str, error_type: str
) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "handlers.py").write_text("")
    function = run(handler, root=tmp_path)

    headers, report = api.error("/init/error")

    assert headers[ERROR_TYPE] == report["errorType"] == error_type
    assert function.process.wait(timeout=10) == 1
    assert function.events[0]["event"] == "init_failed"


def test_a_failed_init_ends_the_process_even_if_nobody_listens(
    api: FakeRuntimeApi, run: Run
) -> None:
    function = run("absent.handler", AWS_LAMBDA_RUNTIME_API="127.0.0.1:1")

    assert function.process.wait(timeout=10) == 1
    assert function.wait_for("error_not_reported")["path"] == "/init/error"


@pytest.mark.parametrize("garbage", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-OpenSSH\r\n"])
def test_an_api_that_gives_no_work_ends_the_process(
    api: FakeRuntimeApi, run: Run, garbage: bytes
) -> None:
    function = run("handlers.greet")
    connection = api.next()

    connection.sock.sendall(garbage)
    connection.hang_up()

    assert function.process.wait(timeout=10) == 1
    assert function.wait_for("runtime_api_lost")


def test_the_wait_for_work_has_no_limit_and_asks_once(api: FakeRuntimeApi, run: Run) -> None:
    function = run("handlers.greet")
    connection = api.next()

    time.sleep(1.5)

    connection.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        connection.sock.recv(1)
    assert function.process.poll() is None


def test_a_handler_that_leaves_ends_the_process_as_lambda_expects(
    api: FakeRuntimeApi, run: Run
) -> None:
    function = run("handlers.leaves")

    api.invoke()

    assert function.process.wait(timeout=10) == 1


def test_bootstrap_starts_the_runtime_with_what_lambda_sets(api: FakeRuntimeApi, run: Run) -> None:
    run("handlers.greet", command=("sh", str(FUNCTION / "bootstrap")), PYTHONPATH=str(FUNCTION))

    assert api.answer_to().body == b"hello world"


def test_bootstrap_takes_the_handler_from_an_images_command(api: FakeRuntimeApi, run: Run) -> None:
    run("", command=("sh", str(FUNCTION / "bootstrap"), "handlers.greet"))

    assert api.answer_to().body == b"hello world"


def test_bootstrap_as_a_wrapper_ignores_the_command_that_it_replaces(
    api: FakeRuntimeApi, run: Run
) -> None:
    wrapped = ("/var/lang/bin/python3.13", "/var/runtime/bootstrap.py")
    run("handlers.greet", command=(str(FUNCTION / "bootstrap"), *wrapped))

    assert api.answer_to().body == b"hello world"


def test_bootstrap_is_executable_and_finds_the_package_beside_it(
    api: FakeRuntimeApi, run: Run
) -> None:
    function = run(
        "app.handler",
        root=FUNCTION,
        command=(str(FUNCTION / "bootstrap"),),
        PYTHONPATH="",
    )

    _, report = api.error("/init/error")

    assert "EXPORT_BUCKET is not set" in report["errorMessage"]
    assert function.process.wait(timeout=20) == 1


def test_the_runtime_needs_the_standard_library_only(api: FakeRuntimeApi, run: Run) -> None:
    # -S leaves out everything that was installed.
    run("handlers.greet", command=(sys.executable, "-S", "-m", "spillway_lambda.runtime"))

    assert api.answer_to().body == b"hello world"


def _made(function: Function) -> int:
    return max((line["bytes"] for line in function.events if line["event"] == "made"), default=0)


def _peak_memory(function: Function) -> int:
    """Bytes, as Linux counts them."""
    status = Path(f"/proc/{function.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
