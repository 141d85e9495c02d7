"""Several exports as one zip, on the wire: whole, of the length that was said, or visibly cut."""

import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.functional.client import Answer, Exchange
from tests.functional.conftest import CURRENT, ROOT, Portal, running, until
from tests.functional.origin import (
    Connection,
    Origin,
    Request,
    Script,
    chunks,
    head,
    length,
    replying,
)

MEGABYTE = 1 << 20
CSV = b"id,total\n1,2\n"
TAGGED = ('ETag: "v1"', "Accept-Ranges: bytes")


def whole(body: bytes, *fields: str, get: bytes | None = None) -> Script:
    """Answers HEAD with the head of `body`, and GET with all of it, or with what `get` is."""

    def script(request: Request, connection: Connection) -> None:
        answer = length(body, *fields)
        if request.method == "HEAD":
            connection.send(answer.removesuffix(body) if body else answer)
        else:
            connection.send(answer if get is None else get)
        connection.sock.close()

    return script


def ask(portal: Portal, *scripts: Script, slugs: str = "", **options: Any) -> Exchange:
    """Begins to fetch a zip of what the scripts send."""
    cases = [portal.origin.on(script) for script in scripts]
    named = slugs.split() or ["plain"] * len(cases)
    wanted = [f"{slug}?case={case.name}" for slug, case in zip(named, cases, strict=True)]
    return of(portal, *wanted, **options)


def of(portal: Portal, *wanted: str, fields: tuple[str, ...] = (), **options: Any) -> Exchange:
    query = "&".join(f"export={quote(one)}" for one in wanted)
    signed = f"Authorization: Bearer {portal.token}"
    return Exchange(portal.port, f"/zip/download?{query}", signed, *fields, **options)


def rows(portal: Portal, answer: Answer) -> list[dict[str, Any]]:
    """The records of a zip's exports, in the order in which they were asked for."""
    bundle = (answer.value("x-download-id") or "").replace("-", "")
    found: list[dict[str, Any]] = []

    def ended() -> bool:
        found[:] = portal.select("select * from streams_download where bundle = ?", bundle)
        return bool(found) and all(row["state"] != "running" for row in found)

    assert until(ended), f"the records did not end: {found}"
    return sorted(found, key=lambda row: (row["started_at"], row["reason"]))


def outcomes(portal: Portal, answer: Answer) -> list[tuple[str, str]]:
    return sorted((row["state"], row["reason"]) for row in rows(portal, answer))


def files(answer: Answer) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(answer.body)) as held:
        assert held.testzip() is None
        return {name: held.read(name) for name in held.namelist()}


def test_it_has_the_length_that_was_said_and_a_manifest(portal: Portal) -> None:
    data = os.urandom(3 * MEGABYTE)
    fields = (*TAGGED, "Content-Type: text/csv", "Last-Modified: Thu, 26 Nov 2026 10:00:00 GMT")

    answer = ask(portal, whole(data, *fields), whole(CSV, *fields), whole(b"")).read()

    assert (answer.status, answer.framing, answer.end) == (200, "length", "complete")
    assert answer.value("content-type") == "application/zip"
    assert answer.value("accept-ranges") == "none"
    assert "exports-" in (answer.value("content-disposition") or "")
    assert answer.value("etag") is None
    assert answer.value("x-content-type-options") == "nosniff"
    held = files(answer)
    manifest = json.loads(held.pop("manifest.json"))
    assert held == {"plain.csv": data, "plain (2).csv": CSV, "plain": b""}
    records = {row["filename"]: row for row in rows(portal, answer)}
    for told in manifest["files"]:
        record = records[told["name"]]
        assert (record["state"], record["sent"]) == ("complete", len(held[told["name"]]))
        assert told["size"] == record["size"] == record["sent"]
        assert told["sha256"] == record["sha256"]
        assert told["proof"] == record["proof"] == "length"
        assert told["download"].replace("-", "") == record["id"]
    assert manifest["files"][0]["etag"] == '"v1"'
    assert manifest["files"][0]["last_modified"] == "2026-11-26T10:00:00+00:00"


def test_the_secret_header_reaches_each_source_and_segments_are_one_file(portal: Portal) -> None:
    data = os.urandom(300_000)

    def ranged(request: Request, connection: Connection) -> None:
        if not request.values("range"):
            whole(data, *TAGGED)(request, connection)
            return
        first, last = map(int, request.values("range")[0].removeprefix("bytes=").split("-"))
        told = f"Content-Range: bytes {first}-{min(last, len(data) - 1)}/{len(data)}"
        part = data[first : last + 1]
        connection.send(length(part, *TAGGED, told, status="206 Partial Content"))
        connection.sock.close()

    def guarded(request: Request, connection: Connection) -> None:
        if request.values("x-secret-header") == [CURRENT]:
            whole(CSV)(request, connection)
        else:
            connection.send(head("Content-Length: 0", status="403 Forbidden"))

    answer = ask(portal, ranged, guarded, slugs="parts guarded").read()

    held = files(answer)
    assert held["parts"] == data
    assert held["guarded"] == CSV


def test_where_a_length_is_not_known_it_comes_in_chunks(portal: Portal) -> None:
    def unsized(request: Request, connection: Connection) -> None:
        connection.send(head("Transfer-Encoding: chunked", "Content-Type: text/csv"))
        if request.method == "GET":
            connection.send(chunks(CSV, CSV))
        connection.sock.close()

    answer = ask(portal, whole(CSV), unsized).read()

    assert (answer.framing, answer.end) == ("chunked", "complete")
    assert files(answer)["plain.csv"] == CSV + CSV


def test_what_breaks_off_is_fetched_from_where_it_broke(portal: Portal) -> None:
    data = os.urandom(MEGABYTE)

    def once(request: Request, connection: Connection) -> None:
        if request.values("range"):
            start = int(request.values("range")[0].removeprefix("bytes=").split("-")[0])
            told = f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}"
            connection.send(length(data[start:], *TAGGED, told, status="206 Partial Content"))
        elif request.method == "HEAD":
            whole(data, *TAGGED)(request, connection)
        else:
            connection.send(length(data, *TAGGED)[: MEGABYTE // 2])
            connection.reset()

    answer = ask(portal, whole(CSV), once).read()

    assert answer.end == "complete"
    assert data in files(answer).values()
    assert {row["resumes"] for row in rows(portal, answer)} == {0, 1}


BROKEN = head(f"Content-Length: {len(CSV)}", 'ETag: "v1"', "Content-Type: text/csv")


@pytest.mark.parametrize(
    ("get", "told"),
    [
        (BROKEN + CSV[:5], ("cut", "truncated")),
        (head("Transfer-Encoding: chunked") + chunks(CSV[:5]), ("cut", "truncated")),
        (head("Transfer-Encoding: chunked") + chunks(CSV + b"more"), ("cut", "truncated")),
        (head("Transfer-Encoding: chunked") + chunks(CSV, last=b""), ("cut", "truncated")),
        (length(CSV + b"3,4\n", 'ETag: "v1"'), ("cut", "changed")),
        (length(CSV, 'ETag: "v2"'), ("cut", "changed")),
        (head("Content-Length: 0", status="404 Not Found"), ("failed", "origin_not_found")),
        (BROKEN, ("failed", "origin_broken")),
        (length(CSV, f"Repr-Digest: sha-256=:{'A' * 43}=:"), ("corrupt", "corrupt")),
    ],
    ids=[
        "cut", "short", "long", "no last chunk", "another length", "another tag", "gone",
        "no first byte", "corrupt",
    ],
)  # fmt: skip
def test_one_that_fails_midway_cuts_it_and_is_named(
    portal: Portal, get: bytes, told: tuple[str, str]
) -> None:
    failing = whole(CSV, 'ETag: "v1"', "Content-Type: text/csv", get=get)

    answer = ask(portal, whole(CSV), failing, whole(CSV)).read()

    assert answer.status == 200
    assert answer.framing == "length"
    assert answer.end in {"cut", "reset"}
    assert b"PK\5\6" not in answer.body
    ended = sorted([("complete", ""), told, ("cancelled", "not_reached")])
    assert outcomes(portal, answer) == ended


def test_in_chunks_a_cut_is_seen_too(portal: Portal) -> None:
    def unsized(request: Request, connection: Connection) -> None:
        connection.send(head("Transfer-Encoding: chunked"))
        if request.method == "GET":
            connection.send(chunks(CSV, last=b""))
        connection.sock.close()

    answer = ask(portal, unsized, whole(CSV)).read()

    assert (answer.framing, answer.end) == ("chunked", "cut")


@pytest.mark.parametrize("place", [0, 1], ids=["the first", "another"])
def test_one_that_is_not_there_is_named_before_anything_is_sent(portal: Portal, place: int) -> None:
    scripts = [whole(CSV), whole(CSV)]
    scripts[place] = replying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    slugs = ["named", "named"]
    slugs[place] = "plain"

    answer = ask(portal, *scripts, slugs=" ".join(slugs)).read()

    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"]) == (502, "origin_not_found")
    assert error["message"].startswith("Plain: ")
    assert portal.record(answer)["reason"] == "origin_not_found"


@pytest.mark.parametrize(
    ("wanted", "status", "code"),
    [
        ([], 400, "zip_invalid"),
        ([f"plain?n={number}" for number in range(101)], 400, "zip_invalid"),
        (["plain", "nobody"], 404, "not_found"),
        (["plain", "there-is-none"], 404, "not_found"),
        (["plain", "chosen"], 400, "parameters_invalid"),
        (["plain", "chosen?since=yesterday"], 400, "parameters_invalid"),
    ],
)
def test_what_cannot_be_had_is_told_by_name(
    portal: Portal, wanted: list[str], status: int, code: str
) -> None:
    answer = of(portal, *wanted).read()

    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"]) == (status, code)
    if wanted and len(wanted) < 100:
        assert wanted[1].split("?")[0] in error["message"]


def test_parameters_are_passed_to_each_source(portal: Portal) -> None:
    case = portal.origin.on(whole(CSV))
    wanted = [f"chosen?case={case.name}&since=2026-01-0{day}" for day in (1, 2)]

    assert of(portal, *wanted).read().end == "complete"

    asked = {request.target.split("since=")[1].split("&")[0] for request in case.requests}
    assert asked == {"2026-01-01", "2026-01-02"}


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
def test_it_is_got_and_nothing_else(portal: Portal, method: str) -> None:
    answer = of(portal, "plain", method=method, fields=("Content-Length: 0",)).read()

    assert (answer.status, answer.value("allow")) == (405, "GET")


def test_of_a_range_the_whole_is_sent(portal: Portal) -> None:
    fields = ("Range: bytes=5-", 'If-Range: "v1"', 'If-None-Match: "v1"')

    answer = ask(portal, whole(CSV, *TAGGED), whole(CSV, *TAGGED), fields=fields).read()

    assert (answer.status, answer.end) == (200, "complete")
    assert answer.value("content-range") is None
    assert len(files(answer)) == 3


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ('If-Match: "v1"', 412),
        ("If-Match: nonsense", 412),
        ("If-Match: *", 200),
        ("If-Unmodified-Since: Thu, 26 Nov 2020 10:00:00 GMT", 200),
    ],
)
def test_it_has_neither_a_tag_nor_a_date_that_a_client_could_name(
    portal: Portal, condition: str, status: int
) -> None:
    case = portal.origin.on(whole(CSV, *TAGGED))
    before = portal.select("select count(*) as n from streams_download")

    answer = of(portal, f"plain?case={case.name}", fields=(condition,)).read()

    assert answer.status == status
    if status == 412:
        assert json.loads(answer.body)["error"]["code"] == "precondition_failed"
        assert case.requests == []
        assert portal.select("select count(*) as n from streams_download") == before


@pytest.mark.parametrize("place", [0, 1])
def test_in_a_zip_gzip_alone_tells_that_it_is_coded(portal: Portal, place: int) -> None:
    packed = [whole(CSV, f"Content-Encoding: {coding}") for coding in ("gzip", "br")]
    packed.insert(place, packed.pop())

    refused = ask(portal, *packed).read()
    taken = ask(portal, packed[1 - place]).read()

    assert (refused.status, json.loads(refused.body)["error"]["code"]) == (502, "origin_coded")
    assert outcomes(portal, taken) == [("complete", "")]
    assert "plain.gz" in files(taken)


def test_nobody_has_one_without_signing_in(portal: Portal) -> None:
    for fields, status in [((), 401), (("Accept: text/html",), 302), (("Authorization: x",), 401)]:
        answer = Exchange(portal.port, "/zip/download?export=plain", *fields).read()
        assert answer.status == status


def test_a_slow_client_holds_the_source_back_and_the_next_one_is_not_asked(
    portal: Portal,
) -> None:
    size = 1 << 30

    def endless(request: Request, connection: Connection) -> None:
        connection.send(head(f"Content-Length: {size}", *TAGGED))
        if request.method == "GET":
            connection.pour(size)

    first, second = portal.origin.on(endless), portal.origin.on(endless)
    memory = portal.memory
    exchange = of(
        portal, *(f"plain?case={case.name}" for case in (first, second)), receive_buffer=65536
    )
    answer = exchange.read_head()
    assert int(answer.value("content-length") or 0) > 2 * size

    time.sleep(1)

    assert sum(connection.sent for connection in first.connections) < 8 * MEGABYTE
    assert portal.memory - memory < 16 * MEGABYTE
    assert [request.method for request in second.requests] == ["HEAD"]
    exchange.leave()
    assert first.left.wait(3), "the source still sends"
    assert outcomes(portal, answer) == [("cancelled", "client_left"), ("cancelled", "not_reached")]


OBJECTS = """
version: 1
endpoints:
  - {slug: first, title: First, kind: s3, bucket: exports, key: first.csv, region: eu-central-1, groups: "*"}
  - {slug: other, title: Other, kind: s3, bucket: exports, key: other.csv, region: eu-central-1, groups: "*"}
"""  # noqa: E501


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_of_s3_the_version_is_sent_that_was_there_when_it_began(
    tmp_path: Path, portal: Portal
) -> None:
    """However often the object is replaced; and its record has until when S3 keeps it."""

    def versioned(request: Request, connection: Connection) -> None:
        fields = (
            "x-amz-version-id: v1",
            'x-amz-expiration: expiry-date="Fri, 21 Dec 2029 00:00:00 GMT", rule-id="r"',
        )
        whole(CSV, 'ETag: "a"', *fields)(request, connection)

    stray = portal.origin.stray
    before, stray.script = stray.script, versioned
    stray.requests.clear()
    settings: dict[str, Any] = {
        "AWS_ENDPOINT_URL_S3": portal.origin.url.removesuffix("/file"),
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
    }  # fmt: skip
    with running(tmp_path, portal.origin, registry_text=OBJECTS, **settings) as own:
        answer = of(own, "first", "other").read()
        kept = {row["kept_until"] for row in rows(own, answer)}
    stray.script = before

    assert answer.end == "complete"
    asked = [request.line.split(" HTTP")[0] for request in stray.requests]
    assert asked == [
        "HEAD /exports/other.csv", "GET /exports/first.csv",
        "GET /exports/other.csv?versionId=v1",
    ]  # fmt: skip
    assert kept == {"2029-12-21 00:00:00"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_secret_that_was_rotated_since_it_began_is_sent_as_it_is_now(
    tmp_path: Path, origin: Origin
) -> None:
    asked, rotated = threading.Event(), threading.Event()

    def slow(request: Request, connection: Connection) -> None:
        connection.send(head("Content-Length: 2"))
        if request.method == "GET":
            connection.send(b"x")
            asked.set()
            rotated.wait(100)
            connection.send(b"x")

    guarded = origin.on(whole(CSV))
    with running(tmp_path, origin, SPILLWAY_IDLE_TIMEOUT="60") as portal:
        first = origin.on(slow)
        exchange = of(portal, f"plain?case={first.name}", f"guarded?case={guarded.name}")
        assert asked.wait(20)
        subprocess.run(
            [sys.executable, "manage.py", "shell", "-c", ROTATED],
            cwd=ROOT, env=portal.environment, check=True, timeout=100, capture_output=True,
        )  # fmt: skip
        rotated.set()
        answer = exchange.read()

    assert answer.end == "complete"
    sent = [request.values("x-secret-header") for request in guarded.requests]
    assert sent == [[CURRENT], ["second-" + "s" * 32]]


ROTATED = """
import os
from pathlib import Path
from django.core.management import call_command
for os.environ["GUARD"] in ("first-" + "f" * 32, "second-" + "s" * 32):
    call_command("apply", str(Path(os.environ["SPILLWAY_STATE_DIR"]) / "registry.yaml"))
"""
