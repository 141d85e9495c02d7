"""A paginated API, walked on real sockets: the file is every item of every page, or it is cut."""

import asyncio
import csv
import gzip
import io
import ipaddress
import json
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.aws.account import Account
from streams.delivery.opening import opened_source
from streams.delivery.watching import Watch
from streams.models import Figures
from streams.net import errors
from streams.net.addresses import AddressPolicy
from streams.net.client import Client
from streams.origins import Credential, Opened, Target, Wanted, pages
from streams.wire.ranges import Asked
from streams.wire.stitching import LARGEST, PageShapeError
from tests.functional.origin import (
    Case,
    Connection,
    Origin,
    Request,
    Script,
    chunks,
    head,
    length,
    replying,
)

LOOPBACK = AddressPolicy((ipaddress.ip_network("127.0.0.0/8"),))
LINKED = {"items": "data", "next": "links.next", "format": "ndjson"}
NUMBERED = {"items": "data", "next": "more", "param": "page", "start": 0, "format": "ndjson"}
TOKENS = {"items": "data", "next": "token", "param": "cursor", "format": "ndjson"}
SECRET = Credential("x-secret-header", "value-of-the-secret")


@pytest.fixture(scope="module")
def api() -> Iterator[Origin]:
    made = Origin()
    yield made
    made.close()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client(LOOPBACK, head_timeout=20)
    yield made
    await made.close()


@dataclass
class Walk:
    """An export of the pages that `script` serves."""

    origin: pages.PagesOrigin
    case: Case

    async def open(self, credential: Credential | None = None, **wanted: Any) -> Opened:
        return await self.origin.open(Wanted(**wanted), credential)

    async def read(self, credential: Credential | None = None, **wanted: Any) -> bytes:
        """The whole file."""
        opened = await self.open(credential, **wanted)
        return await rest_of(opened)

    async def read_until_failure(
        self, credential: Credential | None = None
    ) -> tuple[bytes, errors.BodyError]:
        """What was delivered before it failed; that it fails, and goes on failing, is asserted."""
        opened = await self.open(credential)
        held: list[bytes] = []
        with pytest.raises(errors.BodyError) as caught:
            await rest_of(opened, held)
        with pytest.raises(type(caught.value)):
            await opened.body.read()
        return b"".join(held), caught.value

    @property
    def targets(self) -> list[str]:
        return [request.target for request in self.case.requests]

    def parameters(self, name: str) -> list[list[str]]:
        """What each request had for a query parameter."""
        return [parameters(target).get(name, []) for target in self.targets]


Walks = Callable[..., Walk]


@pytest.fixture
def walk(api: Origin, client: Client) -> Walks:
    return lambda script, **options: walk_of(api, client, script, **options)


@pytest.fixture
async def hasty(api: Origin) -> AsyncIterator[Walks]:
    """Walks that wait for a silent source no longer than a second."""
    client = Client(LOOPBACK, head_timeout=1)
    yield lambda script, **options: walk_of(api, client, script, **options)
    await client.close()


def walk_of(api: Origin, client: Client, script: Script, **options: Any) -> Walk:
    case = api.on(script)
    target = Target(kind="pages", url=f"{api.url}?case={case.name}", pages=LINKED | options)
    return Walk(pages.PagesOrigin(client, Account(), target), case)


async def rest_of(opened: Opened, held: list[bytes] | None = None) -> bytes:
    held = [] if held is None else held
    while chunk := await opened.body.read():
        held.append(chunk)
    return b"".join(held)


def parameters(target: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(target).query, keep_blank_values=True)


def number_of(request: Request) -> int:
    return int(parameters(request.target).get("page", ["0"])[0])


def link_to(request: Request, number: int) -> str:
    return f"?case={parameters(request.target)['case'][0]}&page={number}"


def page_of(items: Any, following: Any = None) -> bytes:
    return json.dumps({"data": items, "links": {"next": following}}).encode()


def paged(*answers: list[Any] | Script) -> Script:
    """One page after the other; each is a list of items that links to the next, or a script."""

    def script(request: Request, connection: Connection) -> None:
        number = number_of(request)
        answer = answers[number]
        if callable(answer):
            answer(request, connection)
            return
        more = number + 1 < len(answers)
        connection.send(length(page_of(answer, link_to(request, number + 1) if more else None)))

    return script


def in_turn(*scripts: Script) -> Script:
    """A script for each request; the last one for all that follow."""
    left = list(scripts)

    def script(request: Request, connection: Connection) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(request, connection)

    return script


def refusing(status: str, *fields: str, body: bytes = b"{}") -> Script:
    return replying(length(body, *fields, status=status), keep_open=True)


def saying(body: bytes, *fields: str) -> Script:
    return replying(length(body, *fields), keep_open=True)


def lines(*items: Any) -> bytes:
    return b"".join(json.dumps(item, separators=(",", ":")).encode() + b"\n" for item in items)


async def test_next_links_are_followed_to_the_last_page(walk: Walks) -> None:
    people = walk(paged([{"id": 1}, {"id": 2}], [{"id": 3}], [{"id": 4}]))

    assert await people.read() == lines({"id": 1}, {"id": 2}, {"id": 3}, {"id": 4})
    assert people.parameters("page") == [[], ["1"], ["2"]]


async def test_a_secret_that_was_rotated_meanwhile_is_read_again(walk: Walks) -> None:
    newer = Credential(SECRET.header, "the-newer-value")

    def script(request: Request, connection: Connection) -> None:
        number = number_of(request)
        value = (SECRET if not number else newer).value
        if request.values(SECRET.header) != [value]:
            connection.send(length(b"", status="403 No"))
            return
        following = link_to(request, number + 1) if number < 2 else None
        connection.send(length(page_of([number], following)))

    async def reread() -> list[Credential]:
        return [newer, SECRET]

    people = walk(script)
    people.origin = replace(people.origin, reread=reread)

    assert await people.read(SECRET) == lines(0, 1, 2)
    asked = [request.values(SECRET.header)[0] for request in people.case.requests]
    assert asked == [SECRET.value, SECRET.value, newer.value, newer.value]


async def test_several_link_headers_are_one_list(walk: Walks) -> None:
    def script(request: Request, connection: Connection) -> None:
        number = number_of(request)
        links = [f'Link: <{link_to(request, 0)}>; rel="first"']
        if number < 2:
            links.insert(0, f'Link: <{link_to(request, number + 1)}>; rel="next"')
        connection.send(length(b"[%d]" % number, *links))

    people = walk(script, items=".", next="link-header")

    assert await people.read() == lines(0, 1, 2)


async def test_a_link_header_is_followed(walk: Walks) -> None:
    def script(request: Request, connection: Connection) -> None:
        number = number_of(request)
        link = f'<{link_to(request, 0)}>; rel="first"'
        if number < 2:
            link += f', <{link_to(request, number + 1)}>; title="a, b"; rel="next"'
        connection.send(length(b"[%d]" % number, f"Link: {link}"))

    people = walk(script, items=".", next="link-header")

    assert await people.read() == lines(0, 1, 2)


@pytest.mark.parametrize("form", ["{url}?{query}", "/file?{query}", "//{host}/file?{query}#top"])
async def test_a_link_may_have_any_form_within_the_origin(
    walk: Walks, api: Origin, form: str
) -> None:
    def second(request: Request) -> str:
        query = link_to(request, 1)[1:]
        return form.format(url=api.url, host=urlsplit(api.url).netloc, query=query)

    def script(request: Request, connection: Connection) -> None:
        first = number_of(request) == 0
        connection.send(length(page_of([request.target], second(request) if first else None)))

    people = walk(script)

    await people.read()

    assert people.parameters("page") == [[], ["1"]]


async def test_a_link_with_spaces_and_letters_arrives_as_it_was_meant(walk: Walks) -> None:
    def script(request: Request, connection: Connection) -> None:
        first = number_of(request) == 0
        link = f" {link_to(request, 1)}&q=é ü%20\U0001f600 " if first else None
        connection.send(length(page_of([1], link)))

    people = walk(script)

    await people.read()

    assert people.parameters("q") == [[], ["é ü \U0001f600"]]


async def test_a_link_is_relative_to_where_the_page_was_found(walk: Walks) -> None:
    def script(request: Request, connection: Connection) -> None:
        moved = f"/v2/people{link_to(request, number_of(request))}"
        if request.target.startswith("/file"):
            connection.send(length(b"", f"Location: {moved}", status="307 Temporary Redirect"))
        else:
            paged([1], [2])(request, connection)

    people = walk(script)

    assert await people.read() == lines(1, 2)
    assert [urlsplit(target).path for target in people.targets] == [
        "/file",
        "/v2/people",
        "/v2/people",
    ]


async def test_a_token_is_sent_in_its_parameter(walk: Walks) -> None:
    tokens = ["a+b/c==&d=é %20", "second"]

    def script(request: Request, connection: Connection) -> None:
        came = parameters(request.target).get("cursor", [])
        number = tokens.index(came[0]) + 1 if came else 0
        token = tokens[number] if number < len(tokens) else None
        connection.send(length(json.dumps({"data": [number], "token": token}).encode()))

    people = walk(script, **TOKENS)

    assert await people.read() == lines(0, 1, 2)
    assert people.parameters("cursor") == [[], ["a+b/c==&d=é %20"], ["second"]]


async def test_a_token_that_is_a_number_keeps_its_digits(walk: Walks) -> None:
    def script(request: Request, connection: Connection) -> None:
        first = "cursor" not in parameters(request.target)
        token = b"9007199254740993" if first else b"null"
        connection.send(length(b'{"data": [1], "token": %b}' % token))

    people = walk(script, **TOKENS)

    assert await people.read() == lines(1, 1)
    assert people.parameters("cursor") == [[], ["9007199254740993"]]


def numbered(*listed: list[Any], more: dict[int, Any] | None = None) -> Script:
    """Pages by number, and none after the last; `more` is what some say of a next one."""

    def script(request: Request, connection: Connection) -> None:
        number = number_of(request)
        page: dict[str, Any] = {"data": listed[number] if number < len(listed) else []}
        if more and number in more:
            page["more"] = more[number]
        connection.send(length(json.dumps(page).encode()))

    return script


async def test_numbered_pages_are_asked_for_until_one_is_empty(walk: Walks) -> None:
    people = walk(numbered([1, 2], [3]), **NUMBERED)

    assert await people.read() == lines(1, 2, 3)
    assert people.parameters("page") == [["0"], ["1"], ["2"]]


async def test_the_first_number_is_the_declared_one(walk: Walks) -> None:
    people = walk(numbered([1], [2], [3]), **(NUMBERED | {"start": 1}))

    assert await people.read() == lines(2, 3)


@pytest.mark.parametrize("no", [False, None, 0, ""])
async def test_numbered_pages_end_where_one_says_so(walk: Walks, no: Any) -> None:
    people = walk(numbered([1], [2], [3], more={0: True, 1: no}), **NUMBERED)

    assert await people.read() == lines(1, 2)
    assert people.parameters("page") == [["0"], ["1"]]


async def test_an_empty_page_that_says_that_more_follow_is_not_the_last(walk: Walks) -> None:
    people = walk(numbered([1], [], [3], more={0: True, 1: True, 2: False}), **NUMBERED)

    assert await people.read() == lines(1, 3)


@pytest.mark.parametrize(
    ("options", "forwarded"),
    [
        # A link has what its API put into it.
        (LINKED, [["2024"], []]),
        (NUMBERED, [["2024"], ["2024"], ["2024"]]),
        (TOKENS, [["2024"], ["2024"]]),
    ],
)
async def test_the_clients_parameters_go_to_the_source(
    walk: Walks, options: dict[str, Any], forwarded: list[list[str]]
) -> None:
    def script(request: Request, connection: Connection) -> None:
        first = not parameters(request.target).keys() & {"cursor"} and number_of(request) == 0
        page = {
            "data": [1] if number_of(request) < 2 else [],
            "links": {"next": link_to(request, 1) if first else None},
            "token": "t" if first else None,
        }
        connection.send(length(json.dumps(page).encode()))

    people = walk(script, **options)

    await people.read(query="since=2024")

    assert people.parameters("since") == forwarded


async def test_a_client_cannot_choose_the_number_of_the_first_page(walk: Walks) -> None:
    people = walk(numbered([1], [2]), **NUMBERED)

    assert await people.read(query="page=1") == lines(1, 2)


@pytest.mark.parametrize(
    ("options", "media_type", "expected"),
    [
        ({"format": "ndjson"}, "application/x-ndjson", b'{"a":1,"b":"x"}\n{"a":2}\n{"b":[]}\n'),
        ({"format": "json"}, "application/json", b'[{"a":1,"b":"x"},\n{"a":2},\n{"b":[]}]\n'),
        ({"format": "csv"}, "text/csv; charset=utf-8", b"a,b\r\n1,x\r\n2,\r\n,[]\r\n"),
        (
            {"format": "csv", "columns": ["b", "a"]},
            "text/csv; charset=utf-8",
            b"b,a\r\nx,1\r\n,2\r\n[],\r\n",
        ),
    ],
)
async def test_pages_become_one_file(
    walk: Walks, options: dict[str, Any], media_type: str, expected: bytes
) -> None:
    people = walk(paged([], [{"a": 1, "b": "x"}], [], [{"a": 2}, {"b": []}], []), **options)

    opened = await people.open()

    assert (opened.status, opened.length, opened.total) == (200, None, None)
    assert opened.headers == {"Content-Type": media_type}
    assert opened.says_when_complete
    assert (opened.accepts_ranges, opened.etag, opened.range) == (False, None, None)
    assert await rest_of(opened) == expected
    assert await opened.body.read() == b""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"format": "ndjson"}, b""),
        ({"format": "json"}, b"[]\n"),
        ({"format": "csv"}, b""),
        ({"format": "csv", "columns": ["id", "name"]}, b"id,name\r\n"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
async def test_a_list_without_items_is_a_whole_file(
    walk: Walks, options: dict[str, Any], expected: bytes, count: int
) -> None:
    people = walk(paged(*([] for _ in range(count))), **options)

    assert await people.read() == expected


async def test_a_page_may_come_gzipped_and_with_a_byte_order_mark(walk: Walks) -> None:
    def script(request: Request, connection: Connection) -> None:
        body = b"\xef\xbb\xbf" + page_of(["é"])
        connection.send(length(gzip.compress(body), "Content-Encoding: gzip"))

    people = walk(paged(["a"], script))

    assert await people.read() == '"a"\n"é"\n'.encode()
    assert [request.values("accept-encoding") for request in people.case.requests] == [
        ["gzip"],
        ["gzip"],
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)  # fmt: skip
items_of_rows = st.fixed_dictionaries({"id": json_values, "note": json_values})


@given(
    listed=st.lists(st.lists(items_of_rows, max_size=4), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 300), max_size=6),
    zipped=st.booleans(),
    kind=st.sampled_from(["ndjson", "json", "csv"]),
)
@settings(max_examples=60)
async def test_any_items_on_any_pages_in_any_pieces_are_the_same_items(
    api: Origin, listed: list[list[Any]], cuts: list[int], zipped: bool, kind: str
) -> None:
    def script(request: Request, connection: Connection) -> None:
        number = number_of(request)
        more = number + 1 < len(listed)
        body = page_of(listed[number], link_to(request, number + 1) if more else None)
        body = gzip.compress(body) if zipped else body
        edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
        connection.send(
            head("Transfer-Encoding: chunked", *(["Content-Encoding: gzip"] if zipped else []))
        )
        for first, last in pairwise(edges):
            connection.send(chunks(body[first:last], last=b""))
        connection.send(chunks())

    items = [item for page in listed for item in page]
    client = Client(LOOPBACK, head_timeout=5)
    made = await walk_of(api, client, script, format=kind).read()
    await client.close()

    if kind == "ndjson":
        assert [json.loads(line) for line in made.split(b"\n")[:-1]] == items
    elif kind == "json":
        assert json.loads(made) == items
    else:
        table = list(csv.DictReader(io.StringIO(made.decode(), newline=""), strict=True))
        assert table == [{key: cell(value) for key, value in item.items()} for item in items]


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def test_each_page_is_asked_for_with_the_secret_and_nothing_of_the_client(
    walk: Walks,
) -> None:
    people = walk(paged([1], in_turn(refusing("500 Oops"), saying(page_of([2])))))

    await people.read(
        SECRET, range=Asked(5, None), if_range='"v1"', if_none_match='"v1"', gzip=False
    )

    assert len(people.case.requests) == 3
    for request in people.case.requests:
        assert request.method == "GET"
        assert request.values("x-secret-header") == [SECRET.value]
        assert request.values("accept") == ["application/json, */*;q=0.5"]
        for name in ("range", "if-range", "if-none-match", "cookie"):
            assert request.values(name) == []


async def test_a_range_is_answered_with_everything(walk: Walks) -> None:
    people = walk(paged([1], [2]))

    opened = await people.open(range=Asked(2, 3), if_range='"v1"')

    assert (opened.status, opened.range) == (200, None)
    assert await rest_of(opened) == lines(1, 2)


async def test_head_asks_for_the_first_page_alone(walk: Walks) -> None:
    people = walk(paged([1], [2]))

    opened = await people.open(head_only=True)

    assert (opened.status, opened.headers) == (200, {"Content-Type": "application/x-ndjson"})
    with pytest.raises(errors.TruncatedError):
        await opened.body.read()
    assert len(people.case.requests) == 1


async def test_one_connection_serves_all_pages(walk: Walks) -> None:
    people = walk(paged([1], [2], [], [3]))

    await people.read()

    assert len({id(connection.sock) for connection in people.case.connections}) == 1


async def test_a_page_is_asked_for_when_the_one_before_was_delivered(walk: Walks) -> None:
    people = walk(paged(["x" * 300_000], ["y"]))
    opened = await people.open()

    first = await opened.body.read()
    await asyncio.sleep(0.1)

    assert len(first) <= 256 * 1024
    assert len(people.case.requests) == 1
    assert len(first + await rest_of(opened)) == 300_000 + 7
    assert len(people.case.requests) == 2


async def test_one_page_is_held_at_a_time(walk: Walks) -> None:
    items = json.dumps(["x" * 10_000] * 100).encode()

    def script(request: Request, connection: Connection) -> None:
        number = number_of(request)
        link = json.dumps(link_to(request, number + 1)) if number < 199 else "null"
        start = b'{"links":{"next":%b},"data":' % link.encode()
        connection.send(head(f"Content-Length: {len(start) + len(items) + 1}") + start)
        # Not copied: its memory is counted too.
        connection.send(items)
        connection.send(b"}")

    people = walk(script)
    opened = await people.open()
    came = 0
    peaks = []
    tracemalloc.start()
    try:
        while chunk := await opened.body.read():
            assert len(chunk) <= 256 * 1024
            came += len(chunk)
            if came % (20 * 1_000_300) < len(chunk):
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.reset_peak()
                people.case.requests.clear()
                people.case.connections.clear()
    finally:
        tracemalloc.stop()

    assert came == 200 * 1_000_300
    assert len(peaks) == 10
    # A page as text, as items and as lines.
    assert max(peaks) < 6_000_000


@dataclass(frozen=True)
class Fault:
    """A page that is none, and what is said where it is the first."""

    name: str
    script: Script
    error: type[errors.OriginError]


CHUNKED = head("Transfer-Encoding: chunked")
ZIPPED = "Content-Encoding: gzip"


def zeros_zipped(count: int) -> bytes:
    return gzip.compress(bytes(count), 1)


def pouring(request: Request, connection: Connection) -> None:
    connection.send(CHUNKED + chunks(b'{"data": ["', last=b""))
    for _ in range(LARGEST // 1_000_000 + 2):
        connection.send(chunks(b"x" * 1_000_000, last=b""))


def silent(request: Request, connection: Connection) -> None:
    connection.wait_for_peer_to_leave()


def silent_within(request: Request, connection: Connection) -> None:
    connection.send(head("Content-Length: 100") + b'{"data": [')
    connection.wait_for_peer_to_leave()


def circling(request: Request, connection: Connection) -> None:
    connection.send(length(page_of(["lost"], request.target)))


WHOLE = page_of([1, 2, 3])
AWAY = errors.RedirectError
BROKEN = errors.BrokenError
MISSHAPEN = errors.PageError
LASTING = [
    Fault("not found", refusing("404 Not Found"), errors.NotFoundError),
    Fault("forbidden", refusing("403 Forbidden"), errors.ForbiddenError),
    Fault("unauthorized", refusing("401 Unauthorized"), errors.ForbiddenError),
    Fault("bad request", refusing("400 Bad Request"), errors.StatusError),
    Fault("no content", replying(head(status="204 No Content")), errors.StatusError),
    Fault("a part", refusing("206 Partial Content", body=WHOLE), errors.StatusError),
    Fault("too busy for long", refusing("429 No", "Retry-After: 90"), errors.BusyError),
    Fault("down for long", refusing("503 No", "Retry-After: 90"), errors.BusyError),
    Fault("no http", replying(b"SSH-2.0-OpenSSH_9.2\r\n"), errors.ProtocolError),
    Fault("cut without a length", replying(head() + WHOLE[:-1]), MISSHAPEN),
    Fault("no body", saying(b""), MISSHAPEN),
    Fault("no json", saying(b"<html>Sign in</html>"), MISSHAPEN),
    Fault("two values", saying(WHOLE + WHOLE), MISSHAPEN),
    Fault("nan", saying(b'{"data": [NaN]}'), MISSHAPEN),
    Fault("a key twice", saying(b'{"data": [], "data": [1]}'), MISSHAPEN),
    Fault("nested deeply", saying(b'{"data": ' + b"[" * 100_000), MISSHAPEN),
    Fault("no utf-8", saying('{"data": ["é"]}'.encode("latin-1")), MISSHAPEN),
    Fault("no items", saying(b'{"rows": [1]}'), MISSHAPEN),
    Fault("an error that says 200", saying(b'{"error": "try again"}'), MISSHAPEN),
    Fault("items that are null", saying(b'{"data": null}'), MISSHAPEN),
    Fault("items that are an object", saying(b'{"data": {"1": 2}}'), MISSHAPEN),
    Fault("too large", pouring, MISSHAPEN),
    Fault("too large unzipped", saying(zeros_zipped(LARGEST + 1), ZIPPED), MISSHAPEN),
    Fault("no gzip", saying(WHOLE, ZIPPED), MISSHAPEN),
    Fault("another coding", saying(WHOLE, "Content-Encoding: br"), MISSHAPEN),
    Fault("a circle", circling, MISSHAPEN),
    Fault("a link that is an object", saying(page_of([1], {"href": "/b"})), MISSHAPEN),
    Fault("a link that is true", saying(page_of([1], True)), MISSHAPEN),
    Fault("a link that is a number", saying(page_of([1], 2)), MISSHAPEN),
    Fault("a link with half a character", saying(page_of([1], "/\ud83d")), MISSHAPEN),
    Fault("a link that is no url", saying(page_of([1], "http://[")), errors.OriginError),
    Fault("a link to another scheme", saying(page_of([1], "https://127.0.0.1/b")), AWAY),
    Fault("a link to a file", saying(page_of([1], "file:///b")), AWAY),
    Fault("a link of spaces", saying(page_of([1], "  ")), AWAY),
    Fault("a redirect away", refusing("302 Found", "Location: http://127.0.0.2/b"), AWAY),
    Fault("a redirect to nowhere", refusing("302 Found"), AWAY),
    Fault("a redirect to no url", refusing("302 Found", "Location: http://["), AWAY),
    Fault("a redirect to itself", refusing("302 Found", "Location: ?"), AWAY),
]
# Asked for four times.
PASSING = [
    Fault("failing", refusing("500 Oops"), errors.BusyServerError),
    Fault("bad gateway", refusing("502 Bad Gateway"), errors.BusyServerError),
    Fault("gateway timeout", refusing("504 Gateway Timeout"), errors.BusyServerError),
    Fault("closed at once", replying(), errors.UnreachableError),
    Fault("cut", replying(head("Content-Length: 99") + WHOLE), BROKEN),
    Fault("cut chunks", replying(CHUNKED + chunks(WHOLE, last=b"")), BROKEN),
    Fault("cut gzip", saying(gzip.compress(WHOLE)[:-8], ZIPPED), BROKEN),
    Fault("silent", silent, errors.OriginTimeoutError),
    Fault("silent within", silent_within, errors.OriginTimeoutError),
]
EACH = pytest.mark.parametrize("fault", [pytest.param(each, id=each.name) for each in LASTING])


async def fails_at_once(people: Walk, fault: Fault) -> None:
    with pytest.raises(fault.error) as caught:
        await people.open(SECRET)
    assert SECRET.value not in str(caught.value)


async def is_cut_after_page_one(people: Walk) -> None:
    held, error = await people.read_until_failure()
    assert held == b'[{"id":1}'
    assert (type(error), error.code) == (errors.PageFailedError, "page_failed")
    assert str(error).startswith("page 2: ")


@EACH
async def test_a_first_page_that_fails_is_an_error_of_its_own(walk: Walks, fault: Fault) -> None:
    people = walk(fault.script)

    await fails_at_once(people, fault)


@EACH
async def test_a_later_page_that_fails_cuts_the_file(walk: Walks, fault: Fault) -> None:
    people = walk(paged([{"id": 1}], fault.script, [{"id": 3}]), format="json")

    await is_cut_after_page_one(people)


@pytest.mark.slow
async def test_a_first_page_that_may_recover_is_given_up_in_the_end(hasty: Walks) -> None:
    exports = {fault.name: hasty(fault.script) for fault in PASSING}

    await asyncio.gather(*(fails_at_once(exports[fault.name], fault) for fault in PASSING))

    asked = {name: len(people.case.requests) for name, people in exports.items()}
    assert asked == dict.fromkeys(exports, 4)


@pytest.mark.slow
async def test_a_later_page_that_may_recover_cuts_the_file_in_the_end(hasty: Walks) -> None:
    exports = {
        fault.name: hasty(paged([{"id": 1}], fault.script, []), format="json") for fault in PASSING
    }

    await asyncio.gather(*(is_cut_after_page_one(people) for people in exports.values()))

    asked = {name: len(people.case.requests) for name, people in exports.items()}
    assert asked == dict.fromkeys(exports, 5)


async def test_items_that_are_nested_too_deeply_cut_the_file(walk: Walks) -> None:
    deep = saying(b'{"data": [%b]}' % (b"[" * 5000 + b"]" * 5000))
    people = walk(paged([{"id": 1}], deep), format="json")

    await is_cut_after_page_one(people)


@pytest.mark.parametrize(
    ("status", "fields"), [("429 Slow Down", ()), ("503 Wait", ()), ("429 No", ("Retry-After: 1",))]
)
async def test_a_busy_source_is_waited_for_in_the_middle(
    walk: Walks, status: str, fields: tuple[str, ...]
) -> None:
    busy = refusing(status, *fields)
    people = walk(paged([1], in_turn(busy, saying(page_of([2])))))
    opened = await people.open()
    began = time.monotonic()

    assert await rest_of(opened) == lines(1, 2)
    assert 0.5 <= time.monotonic() - began < 5


async def test_what_passes_is_asked_for_again(walk: Walks) -> None:
    cut = replying(head("Content-Length: 999") + page_of(["never"]))
    people = walk(paged([1], in_turn(refusing("500 Oops"), cut, saying(page_of([2])))))

    assert await people.read() == lines(1, 2)


async def test_how_long_to_wait_is_told_where_nothing_was_sent_yet(walk: Walks) -> None:
    with pytest.raises(errors.BusyError) as caught:
        await walk(refusing("429 No", "Retry-After: 90")).open()

    assert caught.value.retry_after == 90


def test_a_page_is_not_waited_for_longer_than_is_bearable() -> None:
    attempts = pages._Attempts()

    assert [attempts.pause_after(errors.BusyError(20)) for _ in range(2)] == [20, 20]
    with pytest.raises(errors.BusyError):
        attempts.pause_after(errors.BusyError(20))


def test_each_further_attempt_waits_longer() -> None:
    attempts = pages._Attempts()

    pauses = [attempts.pause_after(errors.BusyServerError(500)) for _ in range(3)]

    for pause, expected in zip(pauses, [0.25, 0.5, 1.0], strict=True):
        assert expected / 2 <= pause <= expected * 1.5
    with pytest.raises(errors.BusyServerError):
        attempts.pause_after(errors.BusyServerError(500))


async def test_a_slow_page_is_not_a_silent_one(hasty: Walks) -> None:
    def slow(request: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {len(WHOLE)}"))
        for place in range(0, len(WHOLE), 6):
            time.sleep(0.2)
            connection.send(WHOLE[place : place + 6])

    assert await hasty(paged([0], slow)).read() == lines(0, 1, 2, 3)


@pytest.mark.parametrize("same_port", [True, False])
async def test_neither_a_request_nor_the_secret_goes_to_another_origin(
    walk: Walks, api: Origin, same_port: bool
) -> None:
    elsewhere = Origin()
    other = api if same_port else elsewhere
    there = other.on(saying(page_of(["foreign"])))
    # The same machine under another name, or another port of it.
    url = f"http://{'localhost' if same_port else '127.0.0.1'}:{other.port}/?case={there.name}"
    for second in (
        saying(page_of(["lost"], url)),
        refusing("302 Found", f"Location: {url}"),
        saying(page_of(["lost"], url.replace("://", "://127.0.0.1@"))),
    ):
        people = walk(paged([1], second))

        held, error = await people.read_until_failure(SECRET)

        assert held == lines(1)
        assert "page 2: The source redirects to another place" in str(error)
        assert len(people.case.requests) == 2

    elsewhere.close()
    assert there.requests == []


async def test_pages_that_go_round_in_a_circle_are_noticed(walk: Walks) -> None:
    def script(request: Request, connection: Connection) -> None:
        number = number_of(request)
        connection.send(length(page_of([number], link_to(request, (number + 1) % 4 or 1))))

    held, error = await walk(script).read_until_failure()

    assert held == lines(0, 1, 2)
    assert "circle" in str(error)


async def test_a_token_that_stays_the_same_is_noticed(walk: Walks) -> None:
    people = walk(saying(b'{"data": [1], "token": "same"}'), **TOKENS)

    held, error = await people.read_until_failure()

    assert held == lines(1)
    assert "circle" in str(error)


def test_the_number_of_pages_is_bounded() -> None:
    route = pages._Route("https://example.com/a", LINKED)

    def after(number: int) -> str | None:
        page = pages.Page("https://example.com/a", "", bytearray())
        return route.after(page, {"links": {"next": f"?p={number}"}}, empty=False)

    for number in range(1, pages.MOST_PAGES):
        assert after(number)
    with pytest.raises(PageShapeError, match="more than 100000 pages"):
        after(pages.MOST_PAGES)


async def test_nothing_of_a_page_is_in_an_error(
    walk: Walks, caplog: pytest.LogCaptureFixture
) -> None:
    echo = b"private words and " + SECRET.value.encode()
    for script in (
        saying(echo),
        saying(b'{"data": {"%b": 1}}' % echo),
        saying(page_of([1], f"http://elsewhere.example/{SECRET.value}")),
        refusing("403 Forbidden", body=b'{"message": "%b"}' % echo),
        refusing("400 Bad Request", body=echo),
    ):
        opened = await walk(paged([1], script)).open(SECRET)
        with pytest.raises(errors.PageFailedError) as caught:
            await rest_of(opened)
        assert "private" not in str(caught.value)
        assert SECRET.value not in f"{caught.value!r} {opened!r}"
    assert SECRET.value not in caplog.text


async def test_an_extra_key_on_a_later_page_cuts_a_table(walk: Walks) -> None:
    people = walk(paged([{"a": 1}], [{"a": 2}, {"a": 3, "b": 4}]), format="csv")

    held, error = await people.read_until_failure()

    assert held == b"a\r\n1\r\n"
    assert "item 2 has a key that is not a column" in str(error)


async def test_a_failure_before_the_first_byte_is_still_an_error(walk: Walks) -> None:
    people = walk(paged([], [], refusing("404 Not Found")), format="json")

    with pytest.raises(errors.BrokenError):
        await opened_source(
            people.origin, Wanted(), [], watch=Watch(Figures(), "pages"), first_byte_timeout=5
        )


def noticing() -> tuple[Script, threading.Event]:
    """A page that begins, and an event that is set when the portal has left."""
    left = threading.Event()

    def script(request: Request, connection: Connection) -> None:
        connection.send(head("Content-Length: 100") + b'{"data": [')
        connection.wait_for_peer_to_leave()
        left.set()

    return script, left


async def test_a_client_that_leaves_in_the_middle_closes_the_connection(walk: Walks) -> None:
    script, left = noticing()
    opened = await walk(paged([1], script)).open()
    assert await opened.body.read() == lines(1)
    reading = asyncio.create_task(opened.body.read())
    await asyncio.sleep(0.2)

    opened.body.abort()

    with pytest.raises(errors.TruncatedError):
        await reading
    assert await asyncio.to_thread(left.wait, 2)


@pytest.mark.parametrize("count", [0, 1])
async def test_a_reader_that_is_cancelled_closes_the_connection(walk: Walks, count: int) -> None:
    script, left = noticing()
    reading = asyncio.create_task(walk(paged(*[[1]] * count, script)).read())
    await asyncio.sleep(0.2)

    reading.cancel()

    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await asyncio.to_thread(left.wait, 2)


async def test_a_silent_source_is_given_up_with_the_reason(walk: Walks) -> None:
    script, left = noticing()
    opened = await walk(paged([1], script)).open()
    await opened.body.read()
    asyncio.get_running_loop().call_later(0.2, opened.body.fail, errors.StalledError("silent"))

    with pytest.raises(errors.StalledError, match="silent"):
        await opened.body.read()
    assert await asyncio.to_thread(left.wait, 2)


async def test_a_wait_for_a_busy_source_ends_when_the_client_leaves(walk: Walks) -> None:
    people = walk(paged([1], refusing("429 No", "Retry-After: 40")))
    opened = await people.open()
    await opened.body.read()
    reading = asyncio.create_task(opened.body.read())
    await asyncio.sleep(0.2)
    began = time.monotonic()

    opened.body.abort()

    with pytest.raises(errors.TruncatedError):
        await reading
    assert time.monotonic() - began < 1
    assert len(people.case.requests) == 2


async def test_what_was_given_up_asks_for_nothing_more(walk: Walks) -> None:
    people = walk(paged([1], [2]))
    opened = await people.open()

    opened.body.abort()

    with pytest.raises(errors.TruncatedError):
        await opened.body.read()
    assert len(people.case.requests) == 1
