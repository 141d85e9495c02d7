"""Segments against a function with Lambda's real limits: 200 MB an answer, 6 MB and then 2 MB/s."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import sandbox
from sandbox import Generated
from tests.functional.client import Exchange
from tests.functional.conftest import Portal, running
from tests.functional.origin import Origin
from tests.kinds.conftest import HANDLERS

pytestmark = pytest.mark.slow

BUCKET = "exports-generated"
HUNDRED = Generated(f"{BUCKET}/hundred.bin", 100_000_000)
GIGABYTE = Generated(f"{BUCKET}/gigabyte.bin", 1_000_000_000)
SEGMENTS = "segments: {size: 5MiB, parallel: 8}"


@dataclass
class Seen:
    """A body that was read and not kept."""

    status: int
    length: int
    size: int
    sha256: str
    seconds: float


def read_through(exchange: Exchange) -> Seen:
    begun = time.monotonic()
    answer = exchange.read_head()
    digest, length = hashlib.sha256(exchange.rest()), int(answer.value("content-length") or -1)
    size = len(exchange.rest())
    while size < length and (data := exchange.sock.recv(1 << 20)):
        digest.update(data)
        size += len(data)
    exchange.sock.close()
    return Seen(answer.status, length, size, digest.hexdigest(), time.monotonic() - begun)


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    settings = sandbox.Settings(
        state=tmp_path_factory.mktemp("aws"),
        propagation_seconds=0.0,
        bandwidth=2 << 20,
        generated={made.name: made.size for made in (HUNDRED, GIGABYTE)},
    )
    with sandbox.running(settings) as aws:
        text = _registry(aws)
        folder: Path = tmp_path_factory.mktemp("portal")
        origin = Origin()
        with running(folder, origin, registry_text=text, workers=1, **aws.environment()) as made:
            yield made
        origin.close()


def _registry(aws: sandbox.Sandbox) -> str:
    lines = ["version: 1", "secrets: [{name: guard, value_from_env: GUARD}]", "endpoints:"]
    for made in (HUNDRED, GIGABYTE):
        name = made.name.removeprefix(f"{BUCKET}/").removesuffix(".bin")
        where = {"EXPORT_BUCKET": BUCKET, "EXPORT_KEY": f"{name}.bin"}
        url = aws.deploy_function(name, HANDLERS, "app.export", where, timeout=900)
        endpoint = f"title: Export, kind: function-url, url: '{url}', groups: '*'"
        lines.append(f"  - {{slug: {name}, {endpoint}}}")
        lines.append(f"  - {{slug: {name}-parts, {endpoint}, {SEGMENTS}}}")
    return "\n".join(lines)


def test_a_gigabyte_arrives_whole_from_a_function_that_may_send_200_mb(portal: Portal) -> None:
    seen = read_through(portal.fetch("gigabyte-parts", seconds=60))

    assert (seen.status, seen.length, seen.size) == (200, GIGABYTE.size, GIGABYTE.size)
    assert seen.sha256 == GIGABYTE.sha256()


def test_its_last_bytes_are_had_without_those_before(portal: Portal) -> None:
    answer = portal.fetch("gigabyte-parts", "Range: bytes=999999000-").read()

    assert (answer.status, answer.end, len(answer.body)) == (206, "complete", 1000)


def test_a_range_across_what_one_answer_may_hold_is_one_part(portal: Portal) -> None:
    first, last = 150_000_000, 449_999_999

    seen = read_through(portal.fetch("gigabyte-parts", f"Range: bytes={first}-{last}", seconds=60))

    assert (seen.status, seen.size) == (206, last - first + 1)
    assert seen.sha256 == GIGABYTE.sha256(first, last)


def test_100_mb_in_segments_take_an_eighth_of_the_time_of_one_stream(portal: Portal) -> None:
    # Eight environments that start share the cores here, and not at Lambda: they start before.
    read_through(portal.fetch("hundred-parts", seconds=60))

    in_parts = read_through(portal.fetch("hundred-parts", seconds=60))
    in_one = read_through(portal.fetch("hundred", seconds=60))

    assert in_parts.sha256 == in_one.sha256 == HUNDRED.sha256()
    assert in_one.seconds / in_parts.seconds >= 8, (in_one.seconds, in_parts.seconds)
