"""Hostile addresses and names: nothing is connected to, as the interpreter itself reports it."""

import asyncio
import ipaddress
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from pytest_django.fixtures import Settings

from streams.aws.account import Account
from streams.delivery.fetching import Fetch
from streams.delivery.segments import Memory, Plan
from streams.delivery.watching import Watch
from streams.models import Endpoint, Figures
from streams.net import errors
from streams.net.addresses import AddressPolicy
from streams.net.client import Client, Connector
from streams.origins import Target, Wanted, build
from streams.registry import check
from streams.registry.apply import apply
from streams.registry.parse import RegistryError, parse
from tests.functional.origin import Connection, Origin, Request, Script, head, length
from tests.net.test_addresses import HOSTILE_URLS

PUBLIC = "93.184.215.14"
# The one address that the origin may have, where there is one.
HERE = "127.0.0.1"
AT_HOME = AddressPolicy((ipaddress.ip_network(f"{HERE}/32"),))
REGION = "eu-central-1"


@dataclass
class Seen:
    """Connections that this process has begun to make, and names that it has looked up."""

    connections: list[Any] = field(default_factory=list)
    lookups: list[Any] = field(default_factory=list)


_seen: Seen | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and event == "socket.connect":
        _seen.connections.append(arguments[1])
    elif _seen is not None and event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        _seen.lookups.append(arguments[0])


# For good: the interpreter has no way to take it off.
sys.addaudithook(_hook)


@pytest.fixture
def seen() -> Iterator[Seen]:
    global _seen  # noqa: PLW0603 - a hook has no other way to know
    _seen = Seen()
    yield _seen
    _seen = None


class Names(AbstractResolver):
    """A name server that answers otherwise each time, and with its last answer in the end."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Nothing is open."""


def client_with(names: Names, policy: AddressPolicy | None = None) -> Client:
    client = Client(policy or AddressPolicy(), head_timeout=0.2 if policy is None else 5)
    for session in client._sessions.values():
        connector = session.connector
        assert isinstance(connector, Connector)
        connector._resolver._inner = names  # type: ignore[attr-defined]
        # As after the time for which a name is remembered.
        connector._use_dns_cache = False
    return client


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    made = Origin()
    yield made
    made.close()


async def test_the_hook_sees_a_connection_that_is_made(seen: Seen) -> None:
    client = Client(AT_HOME, head_timeout=0.5)
    with socket.create_server((HERE, 0)) as listener:
        address = listener.getsockname()
        with pytest.raises(errors.OriginTimeoutError):
            await client.request("GET", f"http://{HERE}:{address[1]}/", {})
    await client.close()
    await asyncio.to_thread(socket.getaddrinfo, "localhost", 80)

    assert seen.connections == [address]
    assert "localhost" in seen.lookups


async def test_no_hostile_url_is_looked_up_or_connected_to(seen: Seen) -> None:
    names = Names([PUBLIC])
    client = client_with(names)

    for url in HOSTILE_URLS:
        with pytest.raises(errors.AddressForbiddenError):
            await client.request("GET", url, {})

    await client.close()
    assert len(HOSTILE_URLS) >= 100
    assert (names.asked, seen.lookups, seen.connections) == ([], [], [])


@pytest.mark.django_db
def test_no_hostile_url_is_looked_up_or_connected_to_when_it_is_registered(
    seen: Seen, settings: Settings
) -> None:
    settings.PRIVATE_ORIGINS = []

    for url in HOSTILE_URLS:
        for kind in ("http", "function-url", "gateway"):
            described = f"slug: a, title: A, groups: '*', kind: {kind}, url: {json.dumps(url)}"
            with pytest.raises(RegistryError, match=r"endpoints\[0\].url"):
                apply(parse(f"version: 1\nendpoints: [{{{described}}}]\n"))
            by_hand = Endpoint(slug="a", title="A", kind=kind, auth="none", url=url, everyone=True)
            # None: that there is no URL at all.
            assert {"url", None} & {name for name, _ in check.problems(by_hand)}, url

    assert not Endpoint.objects.exists()
    assert (seen.lookups, seen.connections) == ([], [])


@pytest.mark.parametrize("scheme", ["https", "http", "HTTPS"])
async def test_the_machines_names_for_itself_lead_nowhere(seen: Seen, scheme: str) -> None:
    client = Client(AddressPolicy(), head_timeout=0.5)

    for name in ("localhost", "LOCALHOST", "LocalHost"):
        for port in ("", ":22", ":6379", ":8080"):
            with pytest.raises(errors.AddressForbiddenError):
                await client.request("GET", f"{scheme}://{name}{port}/", {})
    for name in (
        "localhost.", "localhost.localdomain", "x.localhost", "ip6-localhost", "ip6-loopback",
        socket.gethostname().replace("_", "-"),
    ):  # fmt: skip
        # A machine need not know all of these, and its name server may take its time to say so.
        with pytest.raises(errors.OriginError):
            await client.request("GET", f"{scheme}://{name}/", {})

    await client.close()
    assert seen.connections == []


FORBIDDEN = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.170",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::127.0.0.1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "ff02::1",
]


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_no_name_leads_to_a_forbidden_address(seen: Seen, address: str) -> None:
    client = client_with(Names([address]))

    for scheme in ("https", "http"):
        with pytest.raises(errors.AddressForbiddenError):
            await client.request("GET", f"{scheme}://rebinding.example/", {})

    await client.close()
    assert seen.connections == []


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_a_name_that_changes_its_mind_leads_nowhere_else(seen: Seen, address: str) -> None:
    together = client_with(Names([PUBLIC, address], [address, PUBLIC]))
    later = client_with(Names([PUBLIC], [address]))

    for client in (together, later):
        for _ in range(2):
            with pytest.raises(errors.OriginError):
                await client.request("GET", "https://rebinding.example/", {})
        await client.close()

    await asyncio.sleep(0)
    assert {attempt[0] for attempt in seen.connections} <= {PUBLIC}


async def test_a_proxy_of_the_environment_is_not_asked(
    seen: Seen, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would connect where this portal would not."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://{HERE}:9/")
    case = origin.on(lambda _, connection: connection.send(length(b"hello")))
    client = client_with(Names([HERE]), AT_HOME)

    url = f"http://plain.example:{origin.port}/file?case={case.name}"
    answer = await client.request("GET", url, {})

    assert await answer.body.read() == b"hello"
    await client.close()
    assert seen.connections == [(HERE, origin.port)]


# What leads on from an origin that may be asked to one that may not: by a name that changes its
# mind between two requests, or by what the origin answers.

Download = Callable[[Client, Origin, str], Awaitable[object]]
DATA = bytes(range(256)) * 1024
TAG = 'ETag: "v1"'
CLOSE = "Connection: close"


async def read_out(
    client: Client, target: Target, plan: Plan | None = None, account: Account | None = None
) -> bytes:
    """The whole file, with everything that a download does to get it."""

    async def reread() -> list[Any]:
        return []

    origin = build(client, account or Account(), target)
    fetch = Fetch(origin, (), reread, 2, plan, Memory(1 << 20), Watch(Figures(), target.kind))
    stream, held = await fetch.begin(Wanted())
    while chunk := await stream.read():
        held += chunk
    return held


def moved(request: Request, connection: Connection) -> None:
    if request.target.startswith("/file"):
        case = request.target.partition("?")[2]
        connection.send(head(f"Location: /b?{case}", "Content-Length: 0", CLOSE, status="302 Go"))
    else:
        connection.send(length(DATA))
    connection.sock.close()


def breaking(request: Request, connection: Connection) -> None:
    connection.send(head(f"Content-Length: {len(DATA)}", TAG, "Accept-Ranges: bytes", CLOSE))
    connection.send(DATA[:1000])
    connection.sock.close()


def in_parts(request: Request, connection: Connection) -> None:
    first, last = map(int, request.values("range")[0].removeprefix("bytes=").split("-"))
    stated = f"Content-Range: bytes {first}-{last}/{len(DATA)}"
    body = DATA[first : last + 1]
    connection.send(length(body, TAG, stated, CLOSE, status="206 Partial Content"))
    connection.sock.close()


def page(request: Request, connection: Connection) -> None:
    following = f"{request.target}&more=1"
    connection.send(length(json.dumps({"data": [1], "next": following}).encode(), CLOSE))
    connection.sock.close()


def placing(text: str) -> Script:
    def script(request: Request, connection: Connection) -> None:
        connection.send(length(text.encode(), CLOSE) if "case" in request.target else head())
        connection.sock.close()

    return script


NAME = "rebinding.example"
PAGES = {"items": "data", "next": "next", "format": "ndjson"}


def target_of(kind: str, origin: Origin, script: Script, host: str, **options: Any) -> Target:
    case = origin.on(script)
    url = f"http://{host}:{origin.port}/file?case={case.name}"
    return Target(kind=kind, url=url, region=REGION, **options)


def following(origin: Origin, text: str, host: str = NAME) -> Target:
    return target_of("function-url", origin, placing(text), host, follows="s3")


def rebound(way: str, origin: Origin) -> tuple[Target, Plan | None]:
    match way:
        case "redirect":
            return target_of("http", origin, moved, NAME), None
        case "resume":
            return target_of("http", origin, breaking, NAME), None
        case "segment":
            return target_of("http", origin, in_parts, NAME), Plan(64 * 1024, 2)
        case "next page":
            return target_of("pages", origin, page, NAME, pages=PAGES), None
        case "object":
            return following(origin, '{"bucket": "bbb", "key": "k"}'), None
    place = f"http://{NAME}:{origin.port}/bucket/key?X-Amz-Signature=x"
    return following(origin, json.dumps({"url": place})), None


@pytest.fixture
def _s3_under_the_name(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{NAME}:{origin.port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.mark.usefixtures("_s3_under_the_name")
@pytest.mark.parametrize(
    "address",
    ["127.0.0.2", "169.254.169.254", "10.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"],
)
@pytest.mark.parametrize(
    "way", ["redirect", "resume", "segment", "next page", "object", "presigned"]
)
async def test_a_name_that_changes_its_mind_midway_leads_nowhere_else(
    seen: Seen, origin: Origin, way: str, address: str
) -> None:
    names = Names([HERE], [address])
    client = client_with(names, AT_HOME)
    target, plan = rebound(way, origin)

    with pytest.raises((errors.AddressForbiddenError, errors.BodyError)):
        await read_out(client, target, plan)

    await client.close()
    assert len(names.asked) > 1
    assert seen.connections == [(HERE, origin.port)]


@pytest.fixture
async def strict(origin: Origin) -> AsyncIterator[tuple[Client, Names]]:
    """May ask the origin alone, and learns what names it would have looked up."""
    names = Names([PUBLIC])
    client = client_with(names, AT_HOME)
    yield client, names
    await client.close()


def disguises(port: int) -> list[str]:
    """Places that are not the origin, although a lenient reader might take them for it."""
    hosts = [
        "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.1.",
        "127.0.0.01", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021",
        "\u2460\u2461\u2466.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "localhost", "0", "127.0.0.2",
        "user@127.0.0.1", "127.0.0.1@elsewhere.example", "127.0.0.1%2felsewhere.example",
        "127.0.0.1.elsewhere.example", "127.0.0.1\\@elsewhere.example",
        "elsewhere.example\\@127.0.0.1", "elsewhere.example%23@127.0.0.1", "127.0.0.1%00",
    ]  # fmt: skip
    made = [f"http://{host}:{port}/stolen" for host in hosts]
    made += [f"//{host}:{port}/stolen" for host in hosts]
    # That there is no URL means that there is no further page.
    hostile = [url for url in HOSTILE_URLS if url]
    plain = [url.replace("https:", "http:", 1) for url in hostile]
    return list(dict.fromkeys([*hostile, *plain, *made]))


def answering(way: str, place: str) -> Script:
    """An origin that leads to `place`."""
    said = place.encode("utf-8", "replace")

    def script(_: Request, connection: Connection) -> None:
        if way == "redirect":
            connection.send(b"HTTP/1.1 302 Go\r\nContent-Length: 0\r\nLocation: " + said)
            connection.send(b"\r\n\r\n")
        elif way == "link header":
            link = b"\r\nLink: <%b>; rel=next\r\n\r\n" % said
            connection.send(head("Content-Length: 13")[:-4] + link + b'{"data": [1]}')
        else:
            connection.send(length(json.dumps({"data": [1], "next": place}).encode()))

    return script


@pytest.mark.parametrize("way", ["redirect", "redirect of a page", "next", "link header"])
async def test_nothing_that_an_origin_answers_leads_anywhere_else(
    seen: Seen, origin: Origin, strict: tuple[Client, Names], way: str
) -> None:
    client, names = strict
    options = PAGES | ({"next": "link-header"} if way == "link header" else {})
    kind = "http" if way == "redirect" else "pages"

    for place in disguises(origin.port):
        script = answering("redirect" if way.startswith("redirect") else way, place)
        target = target_of(kind, origin, script, HERE, pages=options)
        # Some are a path below the origin itself, which has nothing there.
        with pytest.raises((errors.OriginError, errors.BodyError)):
            await read_out(client, target)

    assert names.asked == []
    assert set(seen.connections) == {(HERE, origin.port)}
    assert not [one.target for one in origin.stray.requests if "stolen" in one.target]


@pytest.mark.usefixtures("_s3_under_the_name")
@pytest.mark.parametrize("form", ["json", "text", "bare", "bucket"])
async def test_nothing_that_a_function_names_leads_anywhere_else(
    seen: Seen, origin: Origin, strict: tuple[Client, Names], form: str
) -> None:
    client, names = strict
    account = Account()

    for place in [*disguises(origin.port), *S3_DISGUISES]:
        if place in IN_S3:
            continue
        text = {
            "json": json.dumps({"url": place}),
            "text": json.dumps(place),
            "bare": place,
            "bucket": json.dumps({"bucket": place, "key": "k"}),
        }[form]
        with pytest.raises(errors.OriginError):
            await read_out(client, following(origin, text, HERE), account=account)

    assert names.asked == []
    assert set(seen.connections) == {(HERE, origin.port)}


# What S3 itself may be asked for: an object, or a bucket of such a name.
IN_S3 = {"s3://bucket/key", "s3://169.254.169.254/../../latest", "https"}
# What only looks like S3.
S3_DISGUISES = [
    "https://s3.amazonaws.com.elsewhere.example/",
    "https://s3.amazonaws.com@elsewhere.example/",
    "https://elsewhere.example/s3.amazonaws.com/",
    "https://elsewhere.example#s3.amazonaws.com",
    "https://elsewhere.example?s3.amazonaws.com",
    "https://elsewhere.example\\.s3.amazonaws.com/",
    "https://s3.amazonaws.comelsewhere.example/",
    "https://s3amazonaws.com/",
    "https://xs3.amazonaws.com/",
    "https://execute-api.eu-central-1.amazonaws.com/",
    "https://ec2.eu-central-1.amazonaws.com/",
    "https://169.254.169.254/s3.amazonaws.com",
    "https://user@s3.amazonaws.com/",
    "https://s3.amazonaws.com:0/",
    "http://s3.amazonaws.com/",
    "http://bucket.s3.eu-central-1.amazonaws.com/k",
    "ftp://s3.amazonaws.com/",
    f"http://{NAME}.elsewhere.example/",
    f"https://{NAME}/",
    "s3://UPPER/key",
    "s3://169.254.169.254/../../latest",
    "s3:///key",
    "s3://bucket",
    "s3://buc@ket/key",
    "s3://b/key",
]
