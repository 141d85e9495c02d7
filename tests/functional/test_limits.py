"""Limits of guessing and of downloads hold over all processes, wherever they are counted."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.functional import brokers, postgres
from tests.functional.client import Answer, Exchange
from tests.functional.conftest import Portal, running
from tests.functional.origin import Connection, Origin, Request, head, length
from tests.functional.test_links import PASSCODE, Make, make

__all__ = ["make"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

REGISTRY = """
version: 1
endpoints:
  - {{slug: plain, title: Plain, kind: http, url: "{url}", groups: "*"}}
  - {{slug: two, title: Two, kind: http, url: "{url}", limits: {{concurrent: 2}}, groups: "*"}}
  - {{slug: one, title: One, kind: http, url: "{url}", limits: {{per_user: 1}}, groups: "*"}}
  - {{slug: shared, title: Shared, kind: http, url: "{url}", groups: "*", shareable: true}}
"""


@pytest.fixture(scope="module", params=["redis", "postgresql"])
def portal(
    request: pytest.FixtureRequest, origin: Origin, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Portal]:
    """Of two processes that share a database, and with Redis a cache besides."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        if request.param == "redis":
            redis = brokers.broker("redis", folder)
            stack.callback(redis.kill)
            settings = {"REDIS_URL": redis.url}
        else:
            settings = {"DATABASE_URL": stack.enter_context(postgres.running()).url}
        text = REGISTRY.format(url=origin.url)
        yield stack.enter_context(
            running(folder, origin, registry_text=text, workers=2, **settings)
        )


def asked(portal: Portal, target: str, *fields: str, **options: Any) -> Answer:
    return Exchange(portal.port, target, *fields, **options).read()


def at_once(count: int, ask: Any) -> list[Answer]:
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(lambda _: ask(), range(count)))


def statuses(answers: list[Answer]) -> list[int]:
    return sorted(answer.status for answer in answers)


def test_passcodes_are_not_guessed_by_many_at_once(portal: Portal, make: Make) -> None:
    link = make(lambda _, connection: connection.send(head("Content-Length: 0")), 9, PASSCODE)

    seen = statuses(at_once(16, lambda: asked(portal, f"/s/{link}", "X-Passcode: guess")))

    assert seen == [403] * 5 + [429] * 11
    assert asked(portal, f"/s/{link}", f"X-Passcode: {PASSCODE}").status == 429


def test_passwords_are_not_guessed(portal: Portal) -> None:
    page = asked(portal, "/accounts/login/")
    cookie = "; ".join(
        value.partition(";")[0] for name, value in page.headers if name.lower() == "set-cookie"
    )
    token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', page.body)
    assert token is not None

    def sign_in(password: str) -> Answer:
        form = {"csrfmiddlewaretoken": token[1].decode(), "username": "op", "password": password}
        body = urlencode(form)
        fields = (
            f"Cookie: {cookie}", "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}", f"Origin: http://127.0.0.1:{portal.port}",
        )  # fmt: skip
        exchange = Exchange(portal.port, "/accounts/login/", *fields, method="POST")
        exchange.sock.sendall(body.encode())
        return exchange.read()

    seen = [sign_in("guess").status for _ in range(6)]

    assert seen == [200] * 5 + [429]
    limited = sign_in("tests-only")
    assert limited.status == 429
    assert b"Wrong too often." in limited.body


def test_of_many_at_once_as_many_run_as_the_export_allows(portal: Portal) -> None:
    def slow(_: Request, connection: Connection) -> None:
        connection.send(head("Content-Length: 2") + b"x")
        time.sleep(3)
        connection.send(b"x")

    case = portal.origin.on(slow)

    answers = at_once(8, lambda: portal.ask(case, slug="two").read())

    assert statuses(answers) == [200, 200] + [429] * 6
    refused = [json.loads(one.body)["error"]["code"] for one in answers if one.status == 429]
    assert set(refused) == {"export_busy"}


def test_one_after_the_other_is_not_too_many(portal: Portal) -> None:
    case = portal.origin.on(lambda _, connection: connection.send(length(b"hello")))

    answers = [portal.ask(case, slug="one").read() for _ in range(6)]

    assert statuses(answers) == [200] * 6


def test_tokens_are_not_guessed(portal: Portal) -> None:
    """The last of these tests: the right token is shut out, too."""
    # A new connection each time, so that both processes get some.
    wrong = f"Authorization: Bearer {portal.token[:-43]}{'x' * 43}"
    path = "/exports/plain/download"

    seen = [asked(portal, path, wrong).status for _ in range(22)]
    right = asked(portal, path, f"Authorization: Bearer {portal.token}")

    assert seen == [401] * 20 + [429] * 2
    assert right.status == 429
    assert 200 < int(right.value("retry-after") or 0) <= 300
