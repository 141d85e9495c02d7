"""Every kind of origin, and segments, against the stand-in for AWS of `sandbox/`."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sandbox
from bench import client
from bench.client import FaultError, Target
from bench.fleet import Say
from bench.processes import ROOT, listening
from bench.results import Kind, Segments
from bench.stacks.base import Site
from bench.stacks.spillway import Portal

HANDLERS = ROOT / "functions" / "python"
REGION = "eu-central-1"
BUCKET = "exports-generated"
FILES = {"bulk.bin": 256 * 1024 * 1024, "hundred.bin": 100_000_000, "gigabyte.bin": 1_000_000_000}
# What the emulator itself serves.
OBJECT = 64 * 1024 * 1024
ROUNDS = 3
SECRET = "bench-0123456789-0123456789-0123"
# Lambda's: what may be sent at once, and bytes a second after that.
LIMITED = {"bandwidth": 2 * 1024 * 1024}


@dataclass(frozen=True)
class Export:
    """An endpoint, and where the same bytes can be had without the portal."""

    slug: str
    size: int
    spec: Mapping[str, Any]
    straight: str = ""
    headers: Mapping[str, str] | None = None


@contextlib.contextmanager
def _stage(
    site: Site, name: str, settings: Mapping[str, Any], exports: Any
) -> Iterator[tuple[Portal, Sequence[Export]]]:
    """A sandbox, and a portal in front of what `exports` makes in it."""
    folder: Path = site.directory / name
    generated = {f"{BUCKET}/{key}": size for key, size in FILES.items()}
    wanted = sandbox.Settings(
        state=folder, propagation_seconds=0.0, concurrency=12, generated=generated, **settings
    )
    with sandbox.running(wanted) as aws:
        made: list[Export] = exports(aws)
        endpoints = [
            {"slug": export.slug, "title": export.slug, "groups": "*", **export.spec}
            for export in made
        ]
        registry = {"version": 1, "endpoints": endpoints}
        portal = Portal.start(site, f"{name}-portal", registry, environment=aws.environment())
        try:
            if not listening(portal.port, portal.child):
                raise FaultError("the portal did not listen")
            yield portal, made
        finally:
            portal.child.stop()


def _function(aws: sandbox.Sandbox, key: str, **options: Any) -> str:
    name = f"{key.partition('.')[0]}-{options.get('url_auth', 'none').lower().replace('_', '-')}"
    where = {"EXPORT_BUCKET": BUCKET, "EXPORT_KEY": key}
    return aws.deploy_function(name, HANDLERS, "app.export", where, timeout=900, **options)


def _kinds(aws: sandbox.Sandbox) -> list[Export]:
    bulk, size = _function(aws, "bulk.bin"), FILES["bulk.bin"]
    signed = _function(aws, "bulk.bin", url_auth="AWS_IAM")
    gateway = aws.rest_api("bulk", bulk, "x-unused", SECRET, stream=True)
    aws.put_object("exports", "object.bin", bytes(OBJECT))
    link = f"{aws.url}/exports/object.bin"
    plain = f"{aws.url}/{BUCKET}/bulk.bin"
    parts = {"segments": {"size": "5MiB", "parallel": 8}}
    return [
        Export("http", size, {"kind": "http", "url": plain}, plain),
        Export("function-url", size, {"kind": "function-url", "url": bulk}, bulk),
        Export(
            "function-url-sigv4",
            size,
            {"kind": "function-url", "url": signed, "auth": "sigv4", "region": REGION},
            bulk,
        ),
        Export("function-url-segments", size, {"kind": "function-url", "url": bulk, **parts}, bulk),
        Export(
            "lambda", size, {"kind": "lambda", "function": "bulk-aws-iam", "region": REGION}, bulk
        ),
        Export("gateway", size, {"kind": "gateway", "url": gateway.url}, gateway.url),
        Export(
            "s3",
            OBJECT,
            {"kind": "s3", "bucket": "exports", "key": "object.bin", "region": REGION},
            link,
        ),
    ]


def kinds(site: Site, say: Say) -> list[Kind]:
    """One stream of each kind, in turns with the same bytes straight from the stand-in."""
    say("every kind of origin")
    with _stage(site, "kinds", {"streamed_limit": 1 << 30}, _kinds) as (portal, exports):
        cells = [Kind(export.slug, export.size) for export in exports]
        for number in range(ROUNDS):
            for cell, export in zip(cells, exports, strict=True):
                if not cell.failure:
                    _one(cell, export, portal, number)
    return cells


def _one(cell: Kind, export: Export, portal: Portal, number: int) -> None:
    parts = urlsplit(export.straight)
    straight = Target(parts.port or 0, parts.path or "/", export.size)
    try:
        cell.direct[number] = export.size / client.fetch(straight)
        through = portal.target(f"{export.slug}/download", export.size)
        cell.rates[number] = export.size / client.fetch(through)
    except FaultError as exc:
        cell.failure = str(exc)


PLANS = [("hundred.bin", "5MiB", 8), ("hundred.bin", "16MiB", 6), ("gigabyte.bin", "5MiB", 8)]


def _limited(aws: sandbox.Sandbox) -> list[Export]:
    exports = []
    for key in ("hundred.bin", "gigabyte.bin"):
        spec = {"kind": "function-url", "url": _function(aws, key)}
        exports.append(Export(key.partition(".")[0], FILES[key], spec))
        for _, size, parallel in (plan for plan in PLANS if plan[0] == key):
            more = {"segments": {"size": size, "parallel": parallel}}
            slug = _slug(key, size, parallel)
            exports.append(Export(slug, FILES[key], {**spec, **more}))
    return exports


def _slug(key: str, size: str, parallel: int) -> str:
    return f"{key.partition('.')[0]}-{size.lower()}-{parallel}"


def segments(site: Site, say: Say) -> list[Segments]:
    """Files from a function that sends 6 MiB and then 2 MiB a second, in segments and without."""
    say("segments under Lambda's limits")
    cells = []
    with _stage(site, "segments", LIMITED, _limited) as (portal, _):
        one_stream = _seconds(portal, "hundred", FILES["hundred.bin"])
        for key, size, parallel in PLANS:
            cell = Segments(FILES[key], f"{parallel} segments of {size}")
            try:
                cell.seconds = _seconds(portal, _slug(key, size, parallel), FILES[key])
            except FaultError as exc:
                cell.failure = str(exc)
            if key == "hundred.bin":
                cell.one_stream = one_stream
            cells.append(cell)
    return cells


def _seconds(portal: Portal, slug: str, size: int) -> float:
    begun = time.monotonic()
    client.fetch(portal.target(f"{slug}/download", size))
    return time.monotonic() - begun
