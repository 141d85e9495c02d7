"""Digests beside the event loop: the same as in one go, and nobody waits for ever."""

import asyncio
import hashlib
import random
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.digests import PART, UNKNOWN, Digests, Parts, digester

DATA = random.Random(2).randbytes(3 * PART + 77)


def parts_of(data: bytes) -> list[bytes]:
    return [hashlib.sha256(data[at : at + PART]).digest() for at in range(0, len(data), PART)]


async def digest(data: bytes, sizes: list[int]) -> str:
    hasher = hashlib.sha256()
    digests = Digests([hasher])
    at = 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        digests.feed(data[at : at + size])
        at += size
        await digests.room()
    await digests.finish()
    return hasher.hexdigest()


@pytest.mark.parametrize("sizes", [[100], [16_384], [65_536], [1_000_000], [70_000, 10, 300_000]])
async def test_any_chunks_give_the_digest_of_the_whole(sizes: list[int]) -> None:
    data = DATA[: 200 * min(sizes) + 4_000_000 * (min(sizes) > 50_000)]

    async with asyncio.timeout(20):
        found = await digest(data, sizes)

    assert found == hashlib.sha256(data).hexdigest()


async def test_a_job_that_is_done_but_not_yet_called_back_is_not_waited_for() -> None:
    digests = Digests([hashlib.sha256()])
    for _ in range(200):
        digests.feed(bytes(1 << 20))
        # Done in its thread, while the loop has not turned since.
        time.sleep(0.001)  # noqa: ASYNC251 - that is the case
        async with asyncio.timeout(5):
            await digests.room()

    async with asyncio.timeout(5):
        await digests.finish()


async def test_what_fails_in_the_thread_is_raised() -> None:
    class Broken:
        def update(self, data: bytes | memoryview, /) -> None:
            raise ValueError("broken")

    digests = Digests([Broken()])

    digests.feed(bytes(2 << 20))
    with pytest.raises(ValueError, match="broken"):
        async with asyncio.timeout(5):
            await digests.finish()


@pytest.mark.parametrize("chunk", [1_000_003, 8 * 1024 * 1024, 20_000_000])
def test_parts_are_those_of_the_file(chunk: int) -> None:
    parts = Parts(0)

    for at in range(0, len(DATA), chunk):
        parts.update(DATA[at : at + chunk])
    parts.end()

    found = [parts.digests[at : at + 32] for at in range(0, len(parts.digests), 32)]
    # Where a machine is too busy to keep up, some may be left out.
    pairs = list(zip(found, parts_of(DATA), strict=True))
    assert all(got in {right, UNKNOWN} for got, right in pairs)
    assert any(got == right for got, right in pairs)


def test_parts_of_a_rest_begin_with_the_first_whole_one() -> None:
    parts = Parts(PART - 5)

    parts.update(DATA[PART - 5 : 2 * PART + 9])

    assert parts.first == 1
    assert parts.digests in {parts_of(DATA)[1], UNKNOWN}


CHECKED = b"123456789"


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        ("sha256", hashlib.sha256(CHECKED).hexdigest()),
        ("sha1", hashlib.sha1(CHECKED).hexdigest()),
        ("crc32", "cbf43926"),
        ("crc32c", "e3069283"),
        ("crc64nvme", "ae8b14860a799888"),
    ],
)
def test_the_check_values_of_each_algorithm(algorithm: str, value: str) -> None:
    made = digester(algorithm)

    made.update(CHECKED[:4])
    made.update(memoryview(CHECKED)[4:])

    assert made.digest().hex() == value


@given(st.lists(st.binary(max_size=50)))
def test_a_crc_of_pieces_is_that_of_the_whole(pieces: list[bytes]) -> None:
    made = digester("crc32")

    for piece in pieces:
        made.update(piece)

    assert int.from_bytes(made.digest(), "big") == zlib.crc32(b"".join(pieces))
