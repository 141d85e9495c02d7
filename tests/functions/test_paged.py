"""A paginated upstream, walked over real connections."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from spillway_lambda import paged, rows
from spillway_lambda.paged import UpstreamError

Page = Callable[["Answering"], None]


class Answering(BaseHTTPRequestHandler):
    """Answers as the test's function says, and keeps what was asked."""

    server: "Upstream"

    def do_GET(self) -> None:
        self.server.asked.append(self)
        self.server.page(self)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    def reply(self, page: object, status: int = 200, **fields: str) -> None:
        body = page if isinstance(page, bytes) else json.dumps(page).encode()
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | fields).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its parent's name
        pass


class Upstream(ThreadingHTTPServer):
    page: Page

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.asked: list[Answering] = []
        self.url = f"http://127.0.0.1:{self.server_port}/people"


@contextlib.contextmanager
def serving() -> Iterator[Upstream]:
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setattr(paged, "PAUSE", 0.01)
    with serving() as server:
        yield server


def refusal(items: Iterator[Any]) -> str:
    with pytest.raises(UpstreamError) as caught:
        list(items)
    assert caught.value.status == 502
    return caught.value.code


def test_urls_are_followed_whole_or_relative(upstream: Upstream) -> None:
    following = {"/people": "/people/2", "/people/2": f"{upstream.url}/3", "/people/3": None}

    def page(request: Answering) -> None:
        request.reply({"data": [{"at": request.path}], "links": {"next": following[request.path]}})

    upstream.page = page

    found = list(
        paged.items(upstream.url, items="data", following="links.next", headers={"X-Key": "k"})
    )

    assert [item["at"] for item in found] == list(following)
    assert {request.headers["X-Key"] for request in upstream.asked} == {"k"}


def test_tokens_are_put_into_the_query(upstream: Upstream) -> None:
    def page(request: Answering) -> None:
        number = int(request.query.get("after", "0"))
        request.reply({"items": [number], "next": number + 1 if number < 3 else ""})

    upstream.page = page

    assert list(paged.items(f"{upstream.url}?q=a%26b", parameter="after")) == [0, 1, 2, 3]
    assert {request.query["q"] for request in upstream.asked} == {"a&b"}


def test_one_page_is_asked_for_when_it_is_needed(upstream: Upstream) -> None:
    upstream.page = lambda request: request.reply({"items": [1, 2], "next": "/more"})

    items = paged.items(upstream.url)

    assert [next(items), next(items)] == [1, 2]
    assert len(upstream.asked) == 1


def test_numbers_keep_their_digits_on_the_way_to_the_caller(upstream: Upstream) -> None:
    upstream.page = lambda request: request.reply(
        b'{"items": [{"price": 1.10, "id": 123456789012345678901234567890}]}'
    )

    items = list(paged.items(upstream.url))

    assert items[0]["price"] == Decimal("1.10")
    assert b"".join(rows.as_ndjson(items)) == (
        b'{"price": 1.10, "id": 123456789012345678901234567890}\n'
    )


@pytest.mark.parametrize("failure", ["busy", "cut", "closed"])
def test_a_page_that_fails_once_is_asked_for_again(upstream: Upstream, failure: str) -> None:
    def page(request: Answering) -> None:
        if len(upstream.asked) == 2:
            if failure == "busy":
                request.reply({}, 503, Retry_After="0")
            elif failure == "cut":
                request.reply(b'{"items": [3', Content_Length="1000")
            return
        first = len(upstream.asked) == 1
        request.reply({"items": [1, 2] if first else [3], "next": "/more" if first else None})

    upstream.page = page

    assert list(paged.items(upstream.url)) == [1, 2, 3]
    assert len(upstream.asked) == 3


def test_a_page_that_goes_on_failing_is_never_a_shorter_export(upstream: Upstream) -> None:
    def page(request: Answering) -> None:
        if request.path == "/people":
            request.reply({"items": [1], "next": "/more"})
        else:
            request.reply({"secret": "of the upstream"}, 500)

    upstream.page = page
    items = paged.items(upstream.url)

    assert next(items) == 1
    with pytest.raises(UpstreamError, match="Page 2 was answered 500") as caught:
        next(items)
    assert caught.value.code == "upstream_refused"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>", "upstream_misshapen"),
        (b'{"items": {"1": 1}}', "upstream_misshapen"),
        (b"[1, 2]", "upstream_misshapen"),
        (b'{"items": [NaN]}', "upstream_misshapen"),
        (b'{"items": [], "next": 7}', "upstream_misshapen"),
        (b'{"items": [], "next": "http://[bad"}', "upstream_misshapen"),
        (b'{"items": [], "next": "/people"}', "upstream_misshapen"),
        (b'{"items": [], "next": "http://localhost.example/people"}', "upstream_strayed"),
        (b'{"items": [], "next": "//other.example/people"}', "upstream_strayed"),
        (b'{"items": [], "next": "file:///etc/passwd"}', "upstream_strayed"),
    ],
)
def test_a_page_that_is_not_as_declared_is_an_error(
    upstream: Upstream, body: bytes, code: str
) -> None:
    upstream.page = lambda request: request.reply(body)

    assert refusal(paged.items(upstream.url)) == code


def test_a_walk_has_an_end(upstream: Upstream) -> None:
    upstream.page = lambda request: request.reply(
        {"items": [], "next": f"/page/{len(upstream.asked)}"}
    )

    assert refusal(paged.items(upstream.url, most_pages=5)) == "upstream_misshapen"
    assert len(upstream.asked) == 5


def test_a_page_has_a_largest_size(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paged, "LARGEST", 1000)
    upstream.page = lambda request: request.reply({"items": ["x" * 1000]})

    assert refusal(paged.items(upstream.url)) == "upstream_misshapen"


def test_an_upstream_that_is_not_there_is_told() -> None:
    assert refusal(paged.items("http://127.0.0.1:1/", timeout=1)) == "upstream_unreachable"


def test_redirects_take_no_header_to_another_origin(upstream: Upstream) -> None:
    with serving() as other:
        other.page = lambda request: request.reply({"items": ["stolen"]})
        upstream.page = lambda request: request.reply({}, 302, Location=other.url)

        assert refusal(paged.items(upstream.url, headers={"X-Key": "k"})) == "upstream_strayed"
        assert other.asked == []


def test_redirects_within_the_origin_are_followed(upstream: Upstream) -> None:
    def page(request: Answering) -> None:
        if request.path == "/people":
            request.reply({}, 302, Location="/people/")
        else:
            request.reply({"items": [1]})

    upstream.page = page

    assert list(paged.items(upstream.url)) == [1]


def test_only_http_is_walked() -> None:
    with pytest.raises(ValueError, match="http or https"):
        list(paged.items("file:///etc/passwd"))
