"""Generated objects, and S3 through the front."""

import hashlib
import itertools

import pytest

import sandbox
from tests.sandbox.conftest import MIB, Running, get

SIZE = 5 << 30
EXPECTED = sandbox.Generated("exports-generated/archive.bin", SIZE)
WHERE = {"Bucket": "exports-generated", "Key": "archive.bin"}


def url(usual: Running) -> str:
    return f"{usual.aws.url}/exports-generated/archive.bin"


def test_head_tells_size_and_validator(usual: Running) -> None:
    answer = usual.aws.client("s3").head_object(**WHERE)

    assert answer["ContentLength"] == SIZE
    assert answer["ETag"] == EXPECTED.etag
    assert answer["AcceptRanges"] == "bytes"


@pytest.mark.parametrize(
    ("first", "last"), [(0, 0), (5, 5), (MIB - 3, MIB + 11), (SIZE - 3 * MIB, SIZE - 1)]
)
def test_a_slice_has_the_digest_that_was_computed(usual: Running, first: int, last: int) -> None:
    body = usual.aws.client("s3").get_object(**WHERE, Range=f"bytes={first}-{last}")["Body"].read()

    assert len(body) == last - first + 1
    assert hashlib.sha256(body).hexdigest() == EXPECTED.sha256(first, last)


def test_slices_joined_are_the_whole() -> None:
    small = sandbox.Generated("a/b", 3 * MIB + 7)
    whole = b"".join(small.read(0, small.size - 1))

    cuts = [0, 3, MIB + 1, 2 * MIB, small.size]
    parts = [b"".join(small.read(a, b - 1)) for a, b in itertools.pairwise(cuts)]

    assert b"".join(parts) == whole
    assert len(whole) == small.size
    assert len({whole[n * MIB : (n + 1) * MIB] for n in range(3)}) == 3


@pytest.mark.parametrize(
    ("wanted", "status", "content_range"),
    [
        ("bytes=-4", 206, f"bytes {SIZE - 4}-{SIZE - 1}/{SIZE}"),
        ("bytes=0-3", 206, f"bytes 0-3/{SIZE}"),
        (f"bytes={SIZE}-", 416, f"bytes */{SIZE}"),
    ],
)
def test_ranges(usual: Running, wanted: str, status: int, content_range: str) -> None:
    answer = get(url(usual), headers={"Range": wanted})

    assert (answer.status, answer.headers["Content-Range"]) == (status, content_range)


def test_conditions(usual: Running) -> None:
    part = {"Range": "bytes=0-3"}

    assert get(url(usual), headers=part | {"If-Match": '"other"'}).status == 412
    assert get(url(usual), headers=part | {"If-Match": EXPECTED.etag}).status == 206
    assert get(url(usual), headers={"If-None-Match": EXPECTED.etag}).status == 304
    assert get(url(usual), headers=part | {"If-Range": EXPECTED.etag}).status == 206
    stale = get(url(usual), method="HEAD", headers=part | {"If-Range": '"other"'})
    assert (stale.status, stale.headers["Content-Length"]) == (200, str(SIZE))


def test_an_object_of_s3_goes_in_and_out_through_the_front(usual: Running) -> None:
    content = hashlib.shake_256(b"x").digest(3 * MIB + 1)
    usual.aws.put_object("a-bucket", "a key/with+signs&more.bin", content)

    answer = usual.aws.client("s3").get_object(
        Bucket="a-bucket", Key="a key/with+signs&more.bin", Range="bytes=1-"
    )

    assert answer["Body"].read() == content[1:]


def test_a_missing_object_is_missing(usual: Running) -> None:
    usual.aws.put_object("a-bucket", "there", b"x")
    s3 = usual.aws.client("s3")

    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="a-bucket", Key="not-there")


def test_a_presigned_url_works_without_an_sdk(usual: Running) -> None:
    usual.aws.put_object("a-bucket", "signed", b"content")

    link = usual.aws.client("s3").generate_presigned_url(
        "get_object", Params={"Bucket": "a-bucket", "Key": "signed"}
    )

    assert get(link).body == b"content"
