"""Every kind of endpoint, of one and the same object, in front of the stand-in for AWS."""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import sandbox
from tests.functional.conftest import CURRENT, Portal, running
from tests.functional.origin import Connection, Origin, Request, length
from tests.kinds.wire import Wire

ROOT = Path(__file__).resolve().parents[2]
HANDLERS = ROOT / "functions" / "python"
PLACES = ROOT / "tests" / "sandbox" / "runtime"
REGION = "eu-central-1"

DATA = random.Random(3).randbytes(3_000_000)
PEOPLE = [{"id": number, "name": f"name {number}", "note": "x" * 900} for number in range(2000)]
PAGE = 250
NDJSON = b"".join(json.dumps(p, separators=(",", ":")).encode() + b"\n" for p in PEOPLE)


@dataclass(frozen=True)
class Kind:
    """An endpoint, and what can be had of its kind."""

    slug: str
    described: str
    data: bytes = DATA
    # Offsets, a length in advance and a validator.
    ranges: bool = True
    proof: str = "length"
    segments: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


# `{…}` are filled in with what the sandbox has made.
SECRET = "auth: secret-header, secret: guard"
SIGNED = f"auth: sigv4, region: {REGION}"
ONE_STREAM = [
    Kind("url-secret", f"kind: function-url, url: '{{guarded}}', {SECRET}"),
    Kind("url-signed", f"kind: function-url, url: '{{signed}}', {SIGNED}"),
    Kind("url-open", "kind: function-url, url: '{open}'"),
    Kind("lambda", f"kind: lambda, function: signed, region: {REGION}"),
    Kind("gateway-stream", f"kind: gateway, url: '{{stream}}', {SECRET}"),
    Kind("gateway-buffered", f"kind: gateway, url: '{{buffered}}', {SECRET}"),
    Kind("gateway-http", f"kind: gateway, url: '{{http_api}}', {SECRET}"),
    Kind("s3", f"kind: s3, bucket: exports, key: data.bin, region: {REGION}", proof="crc32"),
    Kind("http", "kind: http, url: '{object}'"),
    Kind(
        "follows-key",
        f"kind: function-url, url: '{{key}}', follows: s3, bucket: exports, region: {REGION}",
        proof="crc32",
    ),
    Kind(
        "follows-url",
        f"kind: lambda, function: link, follows: s3, region: {REGION}",
    ),
    Kind(
        "pages",
        "kind: pages, url: '{pages}', pages: {{items: data, next: links.next, format: ndjson}}",
        data=NDJSON,
        ranges=False,
        proof="source",
    ),
]
KINDS = ONE_STREAM + [
    Kind(
        f"{kind.slug}-parts",
        f"{kind.described}, segments: {{{{size: 256KiB, parallel: 3}}}}",
        proof=kind.proof,
        segments=True,
    )
    for kind in ONE_STREAM
    if kind.ranges
]


# Whatever is wrong with an origin: its endpoint, and what the client is told.
REFUSALS = {
    "object-gone": ("kind: function-url, url: '{gone}'", "origin_not_found"),
    "other-secret": (f"kind: function-url, url: '{{other}}', {SECRET}", "origin_forbidden"),
    "url-unknown": ("kind: function-url, url: '{nowhere}'", "function_url_unknown"),
    "no-policy": ("kind: function-url, url: '{closed}'", "function_url_permission"),
    "unsigned": ("kind: function-url, url: '{signed}'", "function_url_permission"),
    "url-buffered": ("kind: function-url, url: '{buffered_url}'", "function_url_buffered"),
    "url-fails": ("kind: function-url, url: '{fails}'", "origin_status"),
    "lambda-fails": (f"kind: lambda, function: fails, region: {REGION}", "function_failed"),
    "lambda-init": (f"kind: lambda, function: init, region: {REGION}", "function_failed"),
    "lambda-missing": (f"kind: lambda, function: nothing, region: {REGION}", "origin_not_found"),
    "lambda-alias": (
        f"kind: lambda, function: 'signed:nope', region: {REGION}",
        "origin_not_found",
    ),
    "key-missing": (
        f"kind: s3, bucket: exports, key: nothing, region: {REGION}",
        "origin_not_found",
    ),
    "bucket-missing": (f"kind: s3, bucket: nobucket, key: a, region: {REGION}", "origin_not_found"),
    "rest-no-path": ("kind: gateway, url: '{stream}x'", "gateway_refused"),
    "http-no-route": ("kind: gateway, url: '{http_api}x'", "gateway_refused"),
    "gateway-secret": ("kind: gateway, url: '{wrong_gateway}'", "origin_forbidden"),
    "too-large": ("kind: gateway, url: '{large_gateway}'", "gateway_limit"),
    "too-slow": ("kind: gateway, url: '{slow_gateway}?seconds=5'", "gateway_limit"),
    "follows-prose": (
        f"kind: lambda, function: prose, follows: s3, region: {REGION}",
        "follow_failed",
    ),
    "follows-away": (
        f"kind: lambda, function: away, follows: s3, region: {REGION}",
        "follow_failed",
    ),
    "follows-into-another-bucket": (
        f"kind: lambda, function: theirs, follows: s3, bucket: exports, region: {REGION}",
        "follow_failed",
    ),
    "follows-gone": (
        f"kind: lambda, function: missing, follows: s3, region: {REGION}",
        "origin_not_found",
    ),
}
# Functions that break off after the first byte: the endpoint, the query, and the reason.
BREAKS = {
    "lambda-dies": (f"kind: lambda, function: midway, region: {REGION}", "how=die", "origin_error"),
    "url-dies": ("kind: function-url, url: '{midway}'", "how=die", "truncated"),
    "lambda-reports": (
        f"kind: lambda, function: midway, region: {REGION}",
        "how=report",
        "origin_error",
    ),
    "url-reports": ("kind: function-url, url: '{midway}'", "how=report", "truncated"),
}
HANDED = f"kind: s3, bucket: exports, key: data.bin, region: {REGION}, delivery: redirect"


@dataclass(frozen=True)
class Stage:
    """A portal, the wire behind it, and the stand-in for AWS behind that."""

    aws: sandbox.Sandbox
    wire: Wire
    portal: Portal


def pages(request: Request, connection: Connection) -> None:
    query = parse_qs(urlsplit(request.target).query)
    number = int(query.get("page", ["0"])[0])
    rows = PEOPLE[number * PAGE : (number + 1) * PAGE]
    more = (number + 1) * PAGE < len(PEOPLE)
    case = query["case"][0]
    body = {"data": rows, "links": {"next": f"?case={case}&page={number + 1}" if more else None}}
    connection.send(length(json.dumps(body).encode(), "Content-Type: application/json"))


def _deploy(aws: sandbox.Sandbox, wire: Wire, origin: Origin) -> dict[str, str]:
    """Makes what the endpoints need; gives the addresses by which the portal is to reach it."""
    aws.put_object("exports", "data.bin", DATA, ContentType="application/octet-stream")
    where = {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "data.bin"}
    guarded = aws.deploy_function(
        "guarded", HANDLERS, "app.handler", {**where, "SECRET_HEADER": CURRENT}
    )
    # A signature is for one host.
    link = (
        replace(aws, url=f"http://{wire.address}")
        .client("s3")
        .generate_presigned_url(
            "get_object", Params={"Bucket": "exports", "Key": "data.bin"}, ExpiresIn=3600
        )
    )
    key = json.dumps({"bucket": "exports", "key": "data.bin"})
    aws.deploy_function("link", PLACES, "place", {"PLACE": json.dumps({"url": link})})
    urls = {
        "guarded": guarded,
        "signed": aws.deploy_function("signed", HANDLERS, "app.export", where, url_auth="AWS_IAM"),
        "open": aws.deploy_function("open", HANDLERS, "app.export", where),
        "stream": aws.rest_api("stream", guarded, "x-secret-header", CURRENT, stream=True).url,
        "buffered": aws.rest_api("buffered", guarded, "x-secret-header", CURRENT).url,
        "http_api": aws.http_api("http", guarded, "x-secret-header", CURRENT).url,
        "object": f"{aws.url}/exports/data.bin",
        "key": aws.deploy_function("key", PLACES, "place", {"PLACE": key}),
    }
    urls |= _deploy_broken(aws)
    found = {name: wire.rerouted(url) for name, url in urls.items()}
    return found | {"pages": f"{origin.url}?case={origin.on(pages).name}"}


def _deploy_broken(aws: sandbox.Sandbox) -> dict[str, str]:
    """What is not as it should be, each in one way."""
    aws.put_object("exports", "large.bin", bytes(11 << 20))
    aws.put_object("others", "data.bin", DATA)
    large = {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "large.bin"}
    gone = large | {"EXPORT_KEY": "nothing.bin"}
    whole = {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "data.bin"}
    secret = {"SECRET_HEADER": "another-secret-of-32-characters!"}
    for name, said in {
        "prose": "the file is ready",
        "away": json.dumps({"url": "https://169.254.169.254/latest/meta-data/"}),
        "missing": json.dumps({"bucket": "exports", "key": "nothing.bin"}),
        "theirs": json.dumps({"url": "s3://others/data.bin"}),
    }.items():
        aws.deploy_function(name, PLACES, "place", {"PLACE": said})
    aws.deploy_function("init", PLACES, "broken.init", {})
    other = aws.deploy_function("other", HANDLERS, "app.handler", whole | secret)
    slow = aws.deploy_function("slow", PLACES, "slow", {})
    large_url = aws.deploy_function("large", HANDLERS, "app.export", large)
    return {
        "gone": aws.deploy_function("gone", HANDLERS, "app.export", gone),
        "other": other,
        "nowhere": f"{aws.url}/_lambda-url/nowhere/",
        "closed": aws.deploy_function("closed", HANDLERS, "app.export", whole, policies=False),
        "buffered_url": aws.deploy_function(
            "buffered", HANDLERS, "app.export", whole, invoke_mode="BUFFERED"
        ),
        "fails": aws.deploy_function("fails", PLACES, "fails.first", {}),
        "midway": aws.deploy_function("midway", PLACES, "midway", {}),
        "wrong_gateway": aws.rest_api("wrong", other, "x-secret-header", CURRENT).url,
        "large_gateway": aws.rest_api("large", large_url, "x-unused", "value").url,
        "slow_gateway": aws.rest_api("slow", slow, "x-unused", "value").url,
    }


def _registry(places: dict[str, str]) -> str:
    described = {kind.slug: kind.described for kind in KINDS}
    described |= {slug: text for slug, (text, *_) in (REFUSALS | BREAKS).items()}
    described["handed"] = HANDED
    described["handed-nothing"] = HANDED.replace("data.bin", "nothing.bin")
    lines = [
        f"  - {{slug: {slug}, title: A kind, groups: '*', {text.format_map(places)}}}"
        for slug, text in described.items()
    ]
    secrets = "secrets: [{name: guard, value_from_env: GUARD}]"
    return "\n".join(["version: 1", secrets, "endpoints:", *lines])


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    origin = Origin()
    settings = sandbox.Settings(
        state=tmp_path_factory.mktemp("aws"),
        propagation_seconds=0.0,
        concurrency=4,
        gateway_timeout=3.0,
    )
    with sandbox.running(settings) as aws:
        wire = Wire(aws.url)
        text = _registry(_deploy(aws, wire, origin))
        environment = aws.environment() | {
            "AWS_ENDPOINT_URL": f"http://{wire.address}",
            # Longer than the gateway waits.
            "SPILLWAY_HEAD_TIMEOUT": "10",
        }
        folder = tmp_path_factory.mktemp("portal")
        with running(folder, origin, registry_text=text, workers=1, **environment) as portal:
            yield Stage(aws, wire, portal)
        wire.close()
    origin.close()
