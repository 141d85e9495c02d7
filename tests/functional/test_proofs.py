"""Which proof there is that a download is whole, and what becomes of one that is not."""

import base64
import contextlib
import gzip
import hashlib
import io
import json
import random
import re
import sqlite3
import threading
import zipfile

import pytest

from tests.functional.conftest import Portal
from tests.functional.origin import Connection, Request, Script, chunks, head, length, replying

EITHER_FRONT = True

DATA = random.Random(8).randbytes(700_000)
CHUNKED = "Transfer-Encoding: chunked"


def digest_of(data: bytes) -> str:
    return f"Repr-Digest: sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def announcing(announced: str, data: bytes = DATA) -> Script:
    """Serves ranges of `data`, with a digest of the whole that may be another's."""

    def script(request: Request, connection: Connection) -> None:
        fields = ['ETag: "v1"', "Accept-Ranges: bytes", announced]
        if asked := re.findall(r"bytes=(\d+)-(\d*)", "".join(request.values("range"))):
            first, last = int(asked[0][0]), min(int(asked[0][1] or 10**9), len(data) - 1)
            fields.append(f"Content-Range: bytes {first}-{last}/{len(data)}")
            part = data[first : last + 1]
            connection.send(length(part, *fields, status="206 Partial Content"))
        else:
            connection.send(length(data, *fields))

    return script


def streaming(data: bytes, *fields: str) -> Script:
    """In chunks, so that nothing but the file itself says where it ends."""
    pieces = [data[at : at + 10_000] for at in range(0, len(data), 10_000)]

    def script(_: Request, connection: Connection) -> None:
        connection.send(head(CHUNKED, *fields) + chunks(*pieces))

    return script


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.bin", DATA[:50_000])
    return packed.getvalue()


LINES = b"".join(json.dumps({"n": n}).encode() + b"\n" for n in range(3000))
GZIP, ZIP = gzip.compress(LINES), zipped()
PARQUET = b"PAR1" + DATA[:30_000] + b"PAR1"


@pytest.mark.parametrize("slug", ["plain", "parts"])
def test_a_digest_that_fits_is_the_proof(portal: Portal, slug: str) -> None:
    answer = portal.get(announcing(digest_of(DATA)), slug=slug)

    assert (answer.end, answer.body) == ("complete", DATA)
    record = portal.record(answer)
    assert (record["state"], record["proof"]) == ("complete", "sha256")
    assert record["sha256"] == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("slug", ["plain", "parts"])
@pytest.mark.parametrize("size", [1, 20_000, len(DATA)])
def test_a_digest_that_does_not_fit_is_a_cut_before_the_last_bytes(
    portal: Portal, slug: str, size: int
) -> None:
    data = DATA[:size]

    answer = portal.get(announcing(digest_of(b"another"), data), slug=slug)

    assert (answer.status, answer.end) == (200, "cut")
    assert len(answer.body) < len(data)
    assert data.startswith(answer.body)
    record = portal.record(answer)
    assert (record["state"], record["reason"], record["sha256"]) == ("corrupt", "corrupt", "")


def test_what_is_corrupt_cannot_be_resumed_into_a_whole(portal: Portal) -> None:
    bad = portal.get(announcing(digest_of(b"another")))
    # At once, as programs do that try again by themselves.
    resumed = portal.get(announcing(digest_of(DATA)), "Range: bytes=600000-")
    assert portal.record(bad)["state"] == "corrupt"
    assert portal.record(resumed)["proof"] == "sha256"
    after = portal.get(announcing(digest_of(DATA)), "Range: bytes=600000-")

    assert (resumed.status, resumed.body) == (200, DATA)
    assert (after.status, after.body) == (206, DATA[600_000:])


def test_another_good_copy_does_not_make_a_bad_one_good(portal: Portal) -> None:
    meanwhile = threading.Event()

    def slow(request: Request, connection: Connection) -> None:
        fields = ('ETag: "v1"', "Accept-Ranges: bytes", digest_of(b"another"))
        connection.send(head(f"Content-Length: {len(DATA)}", *fields) + DATA[:1000])
        meanwhile.wait(10)
        connection.send(DATA[1000:])

    bad = portal.ask(portal.origin.on(slow))
    answer = bad.read_head()
    portal.record(portal.get(announcing(digest_of(DATA))))
    meanwhile.set()
    bad.read_body(answer)
    resumed = portal.get(announcing(digest_of(DATA)), "Range: bytes=600000-")

    assert portal.record(answer)["state"] == "corrupt"
    assert portal.record(resumed)["state"] == "complete"
    assert (resumed.status, resumed.body) == (200, DATA)


def test_nor_does_an_answer_without_bytes(portal: Portal) -> None:
    bad = portal.get(announcing(digest_of(b"another")))
    known = portal.get(replying(head('ETag: "v1"', status="304 No")), 'If-None-Match: "v1"')
    assert portal.record(known)["state"] == "complete"
    resumed = portal.get(announcing(digest_of(DATA)), "Range: bytes=600000-")

    assert (bad.end, known.status) == ("cut", 304)
    assert portal.record(resumed)["state"] == "complete"
    assert (resumed.status, resumed.body) == (200, DATA)


@pytest.mark.parametrize(
    "announced",
    [
        "Repr-Digest: md5=:AAAA:",
        "Repr-Digest: sha-256=:short:",
        "Repr-Digest: sha-256",
        "X-Amz-Checksum-Sha256: AAAA",
    ],
)
def test_a_digest_that_cannot_be_read_proves_nothing(portal: Portal, announced: str) -> None:
    answer = portal.get(announcing(announced))

    assert answer.body == DATA
    assert portal.record(answer)["proof"] == "length"


@pytest.mark.parametrize(
    ("data", "media_type", "proof"),
    [
        (GZIP, "application/gzip", "gzip"),
        (ZIP, "application/zip", "zip"),
        (PARQUET, "application/vnd.apache.parquet", "parquet"),
        (LINES, "application/x-ndjson", "line"),
        (LINES[:-1], "application/x-ndjson", "none"),
        (DATA, "application/octet-stream", "none"),
    ],
)
def test_without_a_length_the_form_of_the_file_may_prove_it(
    portal: Portal, data: bytes, media_type: str, proof: str
) -> None:
    answer = portal.get(streaming(data, f"Content-Type: {media_type}"))

    assert (answer.end, answer.body) == ("complete", data)
    assert portal.record(answer)["proof"] == proof


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (GZIP[:-1], "application/gzip"),
        (GZIP[: len(GZIP) // 2], "application/gzip"),
        (ZIP[:-30], "application/zip"),
        (PARQUET[:-4], "application/vnd.apache.parquet"),
    ],
)
def test_a_file_without_its_end_is_a_cut_although_the_transfer_ended(
    portal: Portal, data: bytes, media_type: str
) -> None:
    answer = portal.get(streaming(data, f"Content-Type: {media_type}"))

    assert (answer.status, answer.end) == (200, "cut")
    record = portal.record(answer)
    assert (record["state"], record["reason"]) == ("cut", "truncated")


def test_a_coded_body_is_proven_by_its_own_trailer(portal: Portal) -> None:
    whole = portal.get(streaming(GZIP, "Content-Encoding: gzip"), "Accept-Encoding: gzip")
    short = portal.get(streaming(GZIP[:-3], "Content-Encoding: gzip"), "Accept-Encoding: gzip")

    assert (whole.end, gzip.decompress(whole.body)) == ("complete", LINES)
    assert portal.record(whole)["proof"] == "gzip"
    assert short.end == "cut"


def test_an_export_may_be_kept_gzipped(portal: Portal) -> None:
    def script(request: Request, connection: Connection) -> None:
        assert request.values("accept-encoding") == ["gzip"]
        connection.send(
            length(GZIP, "Content-Encoding: gzip", 'ETag: "v1"', "Content-Type: text/csv")
        )

    answer = portal.get(script, "Accept-Encoding: identity", slug="kept")

    assert (answer.end, answer.body) == ("complete", GZIP)
    assert answer.value("content-encoding") is None
    assert answer.value("content-type") == "application/gzip"
    assert 'filename="kept.csv.gz"' in (answer.value("content-disposition") or "")


def _parts_of(portal: Portal, download: str) -> tuple[int, bytes]:
    with contextlib.closing(sqlite3.connect(portal.folder / "db.sqlite3")) as database:
        found: tuple[int, bytes] = database.execute(
            "select first, digests from streams_partdigests where download_id = ?", [download]
        ).fetchone()
        return found


def test_the_digests_of_the_parts_are_kept(portal: Portal) -> None:
    part = 8 * 1024 * 1024
    data = random.Random(9).randbytes(2 * part + 5)

    answer = portal.get(announcing("X: y", data))

    record = portal.record(answer)
    row = _parts_of(portal, record["id"])
    expected = [hashlib.sha256(data[at : at + part]).digest() for at in range(0, len(data), part)]
    assert row == (0, b"".join(expected))


def test_a_version_that_was_sent_before_bears_the_same_digest(portal: Portal) -> None:
    case = portal.origin.on(announcing("X: y"))
    answers = [portal.ask(case).read() for _ in range(2)]

    records = [portal.record(answer) for answer in answers]

    assert [answer.body for answer in answers] == [DATA, DATA]
    assert {record["sha256"] for record in records} == {hashlib.sha256(DATA).hexdigest()}
    assert _parts_of(portal, records[0]["id"]) == _parts_of(portal, records[1]["id"]) is not None


def test_other_bytes_under_the_same_tag_bear_no_digest_that_is_not_theirs(portal: Portal) -> None:
    versions = [DATA, DATA[::-1], DATA[::-1]]
    left = list(versions)

    def script(request: Request, connection: Connection) -> None:
        announcing("X: y", left.pop(0))(request, connection)

    case = portal.origin.on(script)

    records = [portal.record(portal.ask(case).read()) for _ in versions]

    assert [record["state"] for record in records] == ["complete"] * 3
    right = [hashlib.sha256(data).hexdigest() for data in versions]
    assert [record["sha256"] for record in records] == [right[0], "", right[2]]
    assert "version_differs" in portal.log


def test_what_was_cut_is_not_taken_for_the_version_later(portal: Portal) -> None:
    left = [GZIP[:-1], GZIP]

    def script(request: Request, connection: Connection) -> None:
        fields = ("Content-Type: application/gzip", 'ETag: "v1"')
        streaming(left.pop(0), *fields)(request, connection)

    case = portal.origin.on(script)
    cut, whole = portal.ask(case).read(), portal.ask(case).read()

    assert (cut.end, whole.end) == ("cut", "complete")
    assert portal.record(whole)["sha256"] == hashlib.sha256(GZIP).hexdigest()
