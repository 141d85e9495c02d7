"""Async generators as handlers, in the real runtime."""

import base64
import json
import time
from collections.abc import Callable

import pytest

from tests.functions.conftest import Function
from tests.functions.fake_runtime_api import FakeRuntimeApi, read_chunks

Run = Callable[..., Function]


def test_an_async_generator_streams_and_may_hold_scopes_over_its_yields(
    api: FakeRuntimeApi, run: Run
) -> None:
    run("handlers.counts")

    sent = api.answer_to({"pieces": 1000})

    assert sent.prelude["statusCode"] == 200
    assert sent.chunks[2:] == [b"%d," % number for number in range(1000)]
    assert sent.trailers == {}


def test_one_loop_serves_all_invocations_so_that_its_clients_stay_warm(
    api: FakeRuntimeApi, run: Run
) -> None:
    run("handlers.counts")

    loops = {api.answer_to({"pieces": 1}).prelude["headers"]["X-Loop"] for _ in range(3)}

    assert len(loops) == 1


def test_a_reader_that_stops_holds_the_generator_but_not_its_loop(
    api: FakeRuntimeApi, run: Run
) -> None:
    function = run("handlers.endless_async")
    api.invoke()
    connection = api.begun()
    connection.exactly(1_000_000)
    time.sleep(0.5)
    before = _made(function)

    time.sleep(1)

    assert _made(function) == before
    # What the kernel holds between the two, with its limits on this kind of system.
    assert before < 16_000_000
    connection.exactly(20_000_000)
    assert _made(function) > 18_000_000


def test_what_keeps_clients_alive_runs_on_while_nobody_reads(api: FakeRuntimeApi, run: Run) -> None:
    function = run("handlers.counts")
    api.invoke({"pieces": 10_000_000})
    connection = api.begun()
    next(read_chunks(connection))
    time.sleep(1)

    ticks = len([line for line in function.events if line["event"] == "tick"])

    assert ticks >= 3


@pytest.mark.parametrize("event", [{}, {"close_fails": True}])
def test_a_generator_is_closed_when_the_platform_leaves(
    api: FakeRuntimeApi, run: Run, event: dict[str, object]
) -> None:
    function = run("handlers.endless_async")
    api.invoke(event)
    connection = api.begun()
    next(read_chunks(connection))

    connection.hang_up()

    assert function.wait_for("closed")
    assert function.wait_for("close_failed" if event else "platform_gone")
    api.next()


def test_a_head_request_closes_the_generator_before_its_body(api: FakeRuntimeApi, run: Run) -> None:
    function = run("handlers.endless_async")

    sent = api.answer_to({"requestContext": {"http": {"method": "HEAD"}}})

    assert sent.body == b""
    assert function.wait_for("closed")


def test_its_http_error_is_an_answer_of_its_own(api: FakeRuntimeApi, run: Run) -> None:
    run("handlers.fails_async")

    sent = api.answer_to({"fails": "before the head"})

    assert sent.prelude["statusCode"] == 503
    assert json.loads(sent.body)["error"]["code"] == "busy"


def test_its_error_before_the_first_byte_fails_the_invocation(
    api: FakeRuntimeApi, run: Run
) -> None:
    run("handlers.fails_async")
    api.invoke({"fails": "before the first byte"})

    _, report = api.error("/invocation/request-1/error")

    assert (report["errorType"], report["errorMessage"]) == ("ValueError", "no byte")
    assert "in fails_async" in "".join(report["stackTrace"])


def test_its_error_midway_is_told_by_the_trailers(api: FakeRuntimeApi, run: Run) -> None:
    run("handlers.fails_async")

    sent = api.answer_to({"fails": "midway"})

    assert sent.body == b"x"
    report = json.loads(base64.b64decode(sent.trailers["Lambda-Runtime-Function-Error-Body"]))
    assert report["errorType"] == "TimeoutError"
    # And the loop serves the next one.
    assert api.answer_to({"fails": "before the head"}).prelude["statusCode"] == 503


def test_an_async_handler_that_leaves_ends_the_process(api: FakeRuntimeApi, run: Run) -> None:
    function = run("handlers.fails_async")

    api.invoke({"fails": "with an exit"})

    assert function.process.wait(timeout=10) == 1


def _made(function: Function) -> int:
    return max((line["bytes"] for line in function.events if line["event"] == "made"), default=0)
