"""Zips written front to back are read by others, and are as long as was said."""

import io
import shutil
import subprocess
import zipfile
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.wire import zips
from streams.wire.disposition import LONGEST, safe_name, told_apart

AT = datetime(2026, 11, 26, 18, 42, 6, tzinfo=UTC)
READERS = [
    ("unzip", "-tqq"),
    ("bsdtar", "-tf"),
    ("7z", "t"),
    ("zip", "-T"),
]


def written(files: Sequence[tuple[str, bytes]], *, told: bool = True) -> bytes:
    """A zip of `files`; with `told`, their sizes are known before."""
    writer = zips.Writer()
    pieces = []
    for name, data in files:
        pieces += [writer.begin(name, len(data) if told else None, AT), data]
        pieces += [writer.end(len(data), zips.crc32(data))]
    return b"".join([*pieces, writer.finish()])


def complaint(reader: Sequence[str], path: Path) -> str:
    """What another program has against it; empty where nothing, or where it is not here."""
    if shutil.which(reader[0]) is None:
        pytest.skip(f"needs the program {reader[0]}")
    done = subprocess.run([*reader, path], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: str(reader[0]))
def test_other_programs_read_it(tmp_path: Path, reader: Sequence[str], told: bool) -> None:
    path = tmp_path / "it.zip"
    path.write_bytes(
        written([("ä.csv", b"a,b\n1,2\n"), ("empty", b""), ("b", b"PK\7\10")], told=told)
    )

    assert complaint(reader, path) == ""


def test_one_that_is_read_while_it_comes_is_read_too() -> None:
    """Without the directory at its end, as by a pipe."""
    if shutil.which("bsdtar") is None:
        pytest.skip("needs the program bsdtar")
    data = written([("a.csv", b"1,2\n" * 1000), ("b.csv", b"3,4\n")])

    done = subprocess.run(["bsdtar", "-xOf", "-"], input=data, capture_output=True, check=True)

    assert done.stdout == b"1,2\n" * 1000 + b"3,4\n"


@given(
    st.lists(st.tuples(st.text(min_size=1).map(safe_name), st.binary(max_size=50)), max_size=6),
    st.booleans(),
)
def test_it_holds_what_was_put_in(files: list[tuple[str, bytes]], told: bool) -> None:
    names = told_apart([name for name, _ in files])
    files = list(zip(names, [data for _, data in files], strict=True))

    data = written(files, told=told)

    with zipfile.ZipFile(io.BytesIO(data)) as held:
        assert held.testzip() is None
        assert [(name, held.read(name)) for name in held.namelist()] == files
        assert all(one.date_time == (2026, 11, 26, 18, 42, 6) for one in held.infolist())
    if told:
        assert len(data) == zips.length([(name, len(data)) for name, data in files])


def large(path: Path, sizes: Sequence[int], *, many: int = 0, crc: int = 0) -> None:
    """A zip of holes of these sizes, sparse on disk, of which the first has this CRC-32."""
    writer = zips.Writer()
    with path.open("wb") as file:
        for number, size in enumerate(sizes):
            file.write(writer.begin(f"{number}.bin", size, AT))
            file.seek(size, io.SEEK_CUR)
            file.write(writer.end(size, 0 if number else crc))
        for number in range(many):
            file.write(writer.begin(f"few-{number}", 0, AT) + writer.end(0, 0))
        file.write(writer.finish())


@pytest.mark.parametrize("size", [zips.FULL - 1, zips.FULL, zips.FULL + 1])
def test_around_4_gib_the_directory_tells_the_size_and_the_next_place(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "it.zip"
    large(path, [size, 0, size, 0])

    assert path.stat().st_size == zips.length(
        [(f"{number}.bin", one) for number, one in enumerate([size, 0, size, 0])]
    )
    with zipfile.ZipFile(path) as held:
        assert [one.file_size for one in held.infolist()] == [size, 0, size, 0]
        assert held.read("3.bin") == b""


@pytest.mark.slow
def test_a_member_of_more_than_4_gib_is_read_by_other_programs(tmp_path: Path) -> None:
    path, size = tmp_path / "it.zip", (4 << 30) + 5
    crc, zeros = 0, bytes(1 << 24)
    for at in range(0, size, len(zeros)):
        crc = zlib.crc32(zeros[: size - at], crc)

    large(path, [size, 0], crc=crc)

    # All read the directory; the first one reads the bytes, too.
    for reader in (("unzip", "-tqq"), ("bsdtar", "-tf"), ("7z", "l")):
        assert complaint(reader, path) == "", reader


def test_more_than_65535_members_are_read(tmp_path: Path) -> None:
    path = tmp_path / "it.zip"
    large(path, [0], many=zips.FULL_COUNT)

    with zipfile.ZipFile(path) as held:
        assert len(held.namelist()) == zips.FULL_COUNT + 1
    assert complaint(("unzip", "-tqq"), path) == ""


def test_names_are_told_apart_for_every_file_system() -> None:
    told = told_apart(
        ["a.csv", "A.CSV", "a.csv", "a (2).csv", "ﬁ", "fi", "manifest.json"],
        taken=["manifest.json"],
    )

    assert told == [
        "a.csv", "A (2).CSV", "a (3).csv", "a (2) (2).csv", "ﬁ", "fi (2)", "manifest (2).json",
    ]  # fmt: skip


def test_a_numbered_name_is_no_longer_than_others() -> None:
    name = safe_name("ä" * 300 + ".csv")

    told = told_apart([name] * 3)

    assert len(set(told)) == 3
    assert all(len(one.encode()) <= LONGEST and one.endswith(".csv") for one in told)
    assert told == [safe_name(one) for one in told]
