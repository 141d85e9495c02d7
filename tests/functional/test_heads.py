"""Errors before the first byte: each has a status, a code and a sentence of its own."""

import json
import time

import pytest

from tests.functional.client import Answer
from tests.functional.conftest import CURRENT, EITHER_WAY, PREVIOUS, Portal
from tests.functional.origin import Connection, Request, Script, chunks, head, length, replying

EITHER_FRONT = True


def error_of(answer: Answer) -> dict[str, str]:
    """The error, once it was seen to be one of ours and nothing else."""
    assert answer.end == "complete"
    assert answer.value("content-type") == "application/json"
    assert answer.value("content-disposition") is None
    assert "no-store" in (answer.value("cache-control") or "")
    assert b"canary" not in answer.body
    error: dict[str, str] = json.loads(answer.body)["error"]
    assert error["message"]
    assert error["hint"]
    assert error["download_id"] == answer.value("x-download-id")
    return error


def reset_at_once(_: Request, connection: Connection) -> None:
    connection.reset()


def silent(_: Request, connection: Connection) -> None:
    connection.wait_for_peer_to_leave()
    raise ConnectionError


def dripping(_: Request, connection: Connection) -> None:
    for letter in b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200:
        connection.send(bytes([letter]))
        time.sleep(0.1)


def first_byte_never_comes(_: Request, connection: Connection) -> None:
    connection.send(head("Content-Length: 5"))
    connection.wait_for_peer_to_leave()
    raise ConnectionError


CASES: dict[str, tuple[Script, int, str]] = {
    "no head": (replying(b""), 502, "origin_unreachable"),
    "reset": (reset_at_once, 502, "origin_unreachable"),
    "half a head": (replying(b"HTTP/1.1 200 OK\r\nContent-"), 502, "origin_unreachable"),
    "silence": (silent, 504, "origin_timeout"),
    "a head that never ends": (dripping, 504, "origin_timeout"),
    "a body that never begins": (first_byte_never_comes, 504, "origin_timeout"),
    "cut before the first byte": (replying(head("Content-Length: 9")), 502, "origin_broken"),
    "no first chunk": (replying(head("Transfer-Encoding: chunked")), 502, "origin_broken"),
    "500": (replying(length(b"canary", status="500 Oops")), 502, "origin_status"),
    "503": (replying(length(b"canary", status="503 Oops")), 502, "origin_status"),
    "418": (replying(length(b"canary", status="418 Teapot")), 502, "origin_status"),
    "403": (replying(length(b"canary", status="403 No")), 502, "origin_forbidden"),
    "401": (replying(length(b"canary", status="401 No")), 502, "origin_forbidden"),
    "404": (replying(length(b"canary", status="404 No")), 502, "origin_not_found"),
    "429": (replying(length(b"", "Retry-After: 77", status="429 Slow")), 429, "origin_busy"),
    "304 unasked": (replying(head(status="304 Not Modified")), 502, "origin_status"),
    "206 unasked": (
        replying(length(b"he", "Content-Range: bytes 0-1/5", status="206 Partial")),
        502,
        "origin_protocol",
    ),
    "not HTTP": (replying(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), 502, "origin_protocol"),
    "HTTP/2": (
        replying(b"HTTP/2.0 200 OK\r\nContent-Length: 6\r\n\r\ncanary"),
        502,
        "origin_protocol",
    ),
    "not quite HTTP": (
        replying(b"ICE/1.0 200 OK\r\nContent-Length: 6\r\n\r\ncanary"),
        502,
        "origin_protocol",
    ),
    "chunks over HTTP/1.0": (
        replying(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"canary")),
        502,
        "origin_protocol",
    ),
    "two lengths": (
        replying(head("Content-Length: 5", "Content-Length: 5") + b"canary"),
        502,
        "origin_protocol",
    ),
    "length with chunks": (
        replying(head("Content-Length: 5", "Transfer-Encoding: chunked") + chunks(b"canary")),
        502,
        "origin_protocol",
    ),
    "a bad length": (replying(head("Content-Length: -5") + b"canary"), 502, "origin_protocol"),
    "an unknown coding": (
        replying(head("Transfer-Encoding: gzip, chunked") + chunks(b"canary")),
        502,
        "origin_protocol",
    ),
    "a status over 599": (replying(length(b"canary", status="999 Odd")), 502, "origin_protocol"),
    "101": (replying(head("Upgrade: x", status="101 Switching")), 502, "origin_protocol"),
    "a header of 100 KB": (
        replying(head("X: " + "a" * 100_000, "Content-Length: 0")),
        502,
        "origin_protocol",
    ),
    "a redirect elsewhere": (
        replying(head("Location: http://169.254.169.254/", "Content-Length: 0", status="302 Go")),
        502,
        "origin_redirect",
    ),
    "a function that is not in stream mode": (
        replying(
            length(
                b'{"statusCode":200}' + b"\0" * 8 + b"canary",
                "Content-Type: application/vnd.awslambda.http-integration-response",
            )
        ),
        502,
        "function_url_buffered",
    ),
    "a redirect to no address": (
        replying(head("Location: /\u00fc", "Content-Length: 0", status="302 Go")),
        502,
        "origin_redirect",
    ),
    "a redirect to two addresses": (
        replying(head("Location: /a", "Location: /b", "Content-Length: 0", status="302 Go")),
        502,
        "origin_redirect",
    ),
    "a redirect without a place": (
        replying(head("Content-Length: 0", status="302 Go")),
        502,
        "origin_redirect",
    ),
}


@pytest.mark.parametrize("slug", EITHER_WAY)
@pytest.mark.parametrize("name", CASES)
def test_an_error_before_the_first_byte_is_told(portal: Portal, name: str, slug: str) -> None:
    script, status, code = CASES[name]

    answer = portal.get(script, slug=slug)

    assert (answer.status, error_of(answer)["code"]) == (status, code)
    record = portal.record(answer)
    assert (record["state"], record["reason"], record["sent"]) == ("failed", code, 0)


LAMBDA = {
    "no such URL": (
        length(b'{"Message":null}', status="403 Forbidden"),
        "function_url_unknown",
    ),
    "a statement missing": (
        length(
            b'{"Message":"Forbidden"}',
            "x-amzn-ErrorType: AccessDeniedException",
            status="403 Forbidden",
        ),
        "function_url_permission",
    ),
    "what S3 refused to the function": (
        length(b'{"error":{"code":"AccessDenied","message":"canary"}}', status="403 Forbidden"),
        "origin_status",
    ),
}


@pytest.mark.parametrize("name", LAMBDA)
def test_lambdas_own_refusals_are_named(portal: Portal, name: str) -> None:
    data, code = LAMBDA[name]
    case = portal.origin.on(replying(data))

    answer = portal.ask(case, slug="guarded").read()

    assert (answer.status, error_of(answer)["code"]) == (502, code)
    assert len(case.requests) == 1, "another secret would change nothing"


def test_retry_after_is_passed_on(portal: Portal) -> None:
    answer = portal.get(CASES["429"][0])

    assert answer.value("retry-after") == "77"


def test_a_passing_failure_is_tried_once_more(portal: Portal) -> None:
    def script(request: Request, connection: Connection) -> None:
        if len(case.requests) == 1:
            connection.send(length(b"canary", status="502 Oops"))
        else:
            connection.send(length(b"hello"))
        connection.sock.close()

    case = portal.origin.on(script)

    answer = portal.ask(case).read()

    assert (answer.status, answer.body) == (200, b"hello")
    assert len(case.requests) == 2


def accepting(value: str) -> Script:
    def script(request: Request, connection: Connection) -> None:
        if request.values("x-secret-header") == [value]:
            connection.send(length(b"hello"))
        else:
            connection.send(length(b'{"error":{"code":"forbidden"}}', status="403 Forbidden"))

    return script


@pytest.mark.parametrize(("value", "requests"), [(CURRENT, 1), (PREVIOUS, 2)])
def test_either_live_version_of_a_secret_opens(portal: Portal, value: str, requests: int) -> None:
    case = portal.origin.on(accepting(value))

    answer = portal.ask(case, slug="guarded").read()

    assert (answer.status, answer.body) == (200, b"hello")
    assert len(case.requests) == requests


def test_a_secret_that_nobody_knows_is_an_error_after_two_attempts(portal: Portal) -> None:
    case = portal.origin.on(accepting("another"))

    answer = portal.ask(case, slug="guarded").read()

    assert error_of(answer)["code"] == "origin_forbidden"
    assert len(case.requests) == 2


def test_no_secret_is_in_any_log(portal: Portal) -> None:
    for script in (accepting(CURRENT), accepting("another"), CASES["not HTTP"][0]):
        portal.get(script, slug="guarded")

    assert CURRENT not in portal.log
    assert PREVIOUS not in portal.log
    assert portal.token not in portal.log


def test_a_browser_gets_a_page(portal: Portal) -> None:
    answer = portal.get(CASES["404"][0], "Accept: text/html,*/*;q=0.8")

    assert answer.status == 502
    assert (answer.value("content-type") or "").startswith("text/html")
    assert (answer.value("x-download-id") or "-") in answer.body.decode()
    assert b"canary" not in answer.body


def test_early_hints_are_skipped(portal: Portal) -> None:
    data = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + length(b"hello")

    answer = portal.get(replying(data))

    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.value("link") is None


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_what_refuses_nothing_is_told_from_what_refuses_a_secret(
    portal: Portal, status: str
) -> None:
    refusing = replying(length(b"no", status=status))

    for slug, hint in [("plain", "register"), ("open", "register"), ("guarded", "compare")]:
        error = json.loads(portal.get(refusing, slug=slug).body)["error"]
        assert error["code"] == "origin_forbidden"
        assert hint in error["hint"]
