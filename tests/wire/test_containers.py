"""Files that say where they end, however they are cut into chunks."""

import gzip
import random

import pytest

from streams.wire.containers import GzipEnd

# Unpacks to more than one step, and to about its own size.
LARGE = gzip.compress(random.Random(1).randbytes(300_000))
SMALL = gzip.compress(b"a,b\n1,2\n")


def fed(data: bytes, size: int) -> bool | None:
    end = GzipEnd()
    for start in range(0, len(data), size):
        end.update(data[start : start + size])
    return end.ended()


@pytest.mark.timeout(10)
@pytest.mark.parametrize("size", [1000, 65_536, 1_000_000])
@pytest.mark.parametrize(
    ("data", "whole"),
    [
        pytest.param(LARGE, True, id="one"),
        pytest.param(LARGE + SMALL + LARGE, True, id="several"),
        pytest.param(LARGE + b"\0" * 5000, True, id="zeros behind it"),
        pytest.param(LARGE + b"\0" * 5000 + SMALL, True, id="zeros between"),
        pytest.param(LARGE[:-1], False, id="cut"),
        pytest.param(LARGE + LARGE[:-9], False, id="the last is cut"),
        pytest.param(LARGE + b"junk", False, id="junk behind it"),
        pytest.param(LARGE[:-8] + b"\0" * 8, False, id="another checksum"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_a_gzip_file_ends_behind_its_last_member(
    data: bytes, whole: bool | None, size: int
) -> None:
    assert fed(data, size) is whole


def test_one_that_unpacks_to_far_more_is_followed_no_further() -> None:
    bomb = gzip.compress(bytes(100 * 1024 * 1024))

    assert fed(bomb + b"junk", 65_536) is None
