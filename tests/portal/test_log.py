"""What a line of the log has, and what it never has."""

import asyncio
import json
import logging
import subprocess
import sys
from contextvars import Context
from typing import Any

import pytest
from django.test import AsyncClient, Client

from portal import log
from portal.env import ROOT


def line(message: str, **extra: object) -> dict[str, Any]:
    record = logging.makeLogRecord(
        {"name": "streams", "msg": message, "levelname": "INFO", **extra}
    )
    made: dict[str, Any] = json.loads(log.JSONFormatter().format(record))
    return made


def test_a_line_is_json_with_what_is_bound_and_what_is_given() -> None:
    def told() -> tuple[dict[str, Any], dict[str, Any]]:
        with log.bound(request_id="r1", download="d1"):
            made = line("download_ended", sent=5, download="d2")
        return made, line("later")

    # In a context that no other test has bound anything in.
    made, later = Context().run(told)

    assert made["event"] == "download_ended"
    assert (made["level"], made["sent"]) == ("info", 5)
    assert (made["request_id"], made["download"]) == ("r1", "d2"), "what is given comes first"
    assert "request_id" not in later


async def test_what_a_task_begins_bears_its_ids_and_no_other_task_does() -> None:
    async def segment() -> dict[str, Any]:
        return line("segment")

    async def request(name: str) -> dict[str, Any]:
        log.bind(request_id=name)
        await asyncio.sleep(0)
        return await asyncio.create_task(segment())

    made = await asyncio.gather(*(asyncio.create_task(request(name)) for name in "ab"))

    assert [one["request_id"] for one in made] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"Not Found: /s/0123456789ab_{'k' * 43}", "Not Found: /s/0123456789ab_***"),
        (
            "database_away /accounts/password/reset/3-d2n8xk-4f0c7f0e5f43/",
            "database_away /accounts/password/reset/3-***/",
        ),
        ("postgres://ann:p4ss@db/x failed", "postgres://***@db/x failed"),
        ("redis://:p4ss@127.0.0.1:6379/0.", "redis://***@127.0.0.1:6379/0."),
        (
            "GET https://b.s3.amazonaws.com/k?X-Amz-Signature=abc&x=1 failed",
            "GET https://b.s3.amazonaws.com/k?*** failed",
        ),
        ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer ***"),
        (
            "AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature=00",
            "AWS4-HMAC-SHA256 ***",
        ),
        ("see https://exports.example.com/a and b@example.com?", None),
    ],
)
def test_what_looks_like_a_secret_is_not_written(text: str, told: str | None) -> None:
    assert line(text)["event"] == (told or text)
    assert line("event", note=text)["note"] == (told or text)


@pytest.mark.parametrize("level", ["debug", "warning"])
def test_the_level_is_that_of_our_own_lines_and_others_never_tell_all(level: str) -> None:
    """At DEBUG, botocore alone writes down every value that it sends."""
    program = (
        "import logging, sys\n"
        "from portal import log\n"
        "log.configure(sys.argv[1])\n"
        "names = ['streams', 'portal', 'botocore.endpoint', 'urllib3', 'kombu', 'else', 'celery']\n"
        "logging.getLogger('celery').setLevel(logging.NOTSET)\n"
        "print([logging.getLevelName(logging.getLogger(n).getEffectiveLevel()) for n in names])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, level],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    others = "INFO" if level == "debug" else "WARNING"
    assert done.stdout.strip() == str([level.upper()] * 2 + [others] * 5)


@pytest.mark.parametrize("given", ["req-0123456789", "01234567", "a" * 64])
async def test_an_id_that_was_given_in_front_is_kept(given: str) -> None:
    answer = await AsyncClient().get("/healthz", headers={"x-request-id": given})

    assert answer["X-Request-Id"] == given


@pytest.mark.parametrize(
    "given",
    ["", "short", "a" * 65, "evil\r\nSet-Cookie: a=b", '{"level": "error"}', "\x1b[31mred-12345",
     "../../../../etc", "<script>alert(1)</script>", "ünïcödé-12345"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/healthz", "/nowhere"])
def test_what_is_no_id_is_replaced(given: str, path: str) -> None:
    answer = Client().get(path, headers={"x-request-id": given})

    assert answer["X-Request-Id"] != given
    assert len(answer["X-Request-Id"]) == 32
    assert answer["X-Request-Id"].isalnum()
