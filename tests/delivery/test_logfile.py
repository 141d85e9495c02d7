"""A log is read whole, once, whatever happens to the file meanwhile."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.delivery.logfile import LONGEST_LINE, Log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "offload.log"


@pytest.fixture
def reading(path: Path) -> Iterator[Callable[[], Log]]:
    """A new reader, with the same memory as those before."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(Log(path, path.with_name("memory.json")))


def test_lines_are_given_as_they_come(path: Path, reading: Callable[[], Log]) -> None:
    log = reading()
    assert list(log.lines()) == []

    path.write_bytes(b"one\ntwo\nthr")
    assert list(log.lines()) == [b"one\n", b"two\n"]

    with path.open("ab") as more:
        more.write(b"ee\n")
    assert list(log.lines()) == [b"three\n"]


def test_what_was_renamed_is_read_to_its_end_first(path: Path, reading: Callable[[], Log]) -> None:
    path.write_bytes(b"one\n")
    log = reading()
    assert list(log.lines()) == [b"one\n"]

    renamed = path.rename(path.with_name("offload.log.1"))
    with renamed.open("ab") as more:
        more.write(b"two\n")
    assert list(log.lines()) == [b"two\n"]
    path.write_bytes(b"three\n")

    assert list(log.lines()) == [b"three\n"]


def test_a_second_reader_goes_on_where_the_first_stored(
    path: Path, reading: Callable[[], Log]
) -> None:
    path.write_bytes(b"one\ntwo\n")
    first = reading()
    assert next(first.lines()) == b"one\n"
    first.remember()
    # Read, and not stored.
    assert list(first.lines()) == [b"two\n"]

    assert list(reading().lines()) == [b"two\n"]


def test_while_nobody_read_it_was_renamed(path: Path, reading: Callable[[], Log]) -> None:
    path.write_bytes(b"one\ntwo\n")
    first = reading()
    next(first.lines())
    first.remember()
    path.rename(path.with_name("offload.log.1"))
    path.write_bytes(b"three\n")

    assert list(reading().lines()) == [b"two\n", b"three\n"]


@pytest.mark.parametrize("memory", ["", "{", "[]", '{"file": 1}', '{"file": 1, "offset": 10}'])
def test_a_memory_that_means_nothing_is_none(
    path: Path, reading: Callable[[], Log], memory: str
) -> None:
    path.with_name("memory.json").write_text(memory)
    path.write_bytes(b"one\n")

    assert list(reading().lines()) == [b"one\n"]


def test_a_file_that_was_emptied_is_read_from_its_beginning(
    path: Path, reading: Callable[[], Log]
) -> None:
    path.write_bytes(b"a long line\n")
    first = reading()
    list(first.lines())
    first.remember()
    # In place, as `copytruncate` does it.
    path.write_bytes(b"one\n")

    assert list(first.lines()) == list(reading().lines()) == [b"one\n"]


def test_a_line_without_end_fills_no_memory(path: Path, reading: Callable[[], Log]) -> None:
    path.write_bytes(b"x" * (LONGEST_LINE + 10))

    assert [len(piece) for piece in reading().lines()] == [LONGEST_LINE]
