"""A log file that another program writes and renames, read line by line."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

# What is longer is no line, and is given in pieces.
LONGEST_LINE = 64 * 1024


class Log:
    """Follows one log file through its rotation: what was renamed is read to its end first.

    `memory` keeps the place over restarts. It is written by `remember`, once what was read is
    stored; so lines may be read twice, and none is missed. While nobody reads, the file may be
    renamed once, to its name with `.1`.
    """

    def __init__(self, path: Path, memory: Path) -> None:
        self._path = path
        self._memory = memory
        self._file = self._reopened()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def lines(self) -> Iterator[bytes]:
        """The whole lines that are there now. A line that is still being written comes later."""
        while self._file is not None or self._open():
            assert self._file is not None
            yield from _whole_lines(self._file)
            if not self._is_renamed(self._file):
                return
            # Before its program was told, it may have written some more.
            yield from _whole_lines(self._file)
            self._close()

    def remember(self) -> None:
        """What `lines` gave so far is stored."""
        if self._file is None:
            return
        place = {"file": _number(self._file), "offset": self._file.tell()}
        draft = self._memory.with_name(self._memory.name + ".new")
        draft.write_text(json.dumps(place))
        draft.replace(self._memory)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _open(self) -> bool:
        self._file = _opened(self._path)
        return self._file is not None

    def _is_renamed(self, file: BinaryIO) -> bool:
        # Where there is none, its program has not been told yet.
        return self._path.exists() and self._path.stat().st_ino != _number(file)

    def _reopened(self) -> BinaryIO | None:
        """The file that was read last, under its own name or that of a renamed one."""
        try:
            place = json.loads(self._memory.read_text())
            number, offset = int(place["file"]), int(place["offset"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        for path in (self._path, self._path.with_name(self._path.name + ".1")):
            file = _opened(path)
            if file is not None and _number(file) == number:
                file.seek(offset)
                return file
            if file is not None:
                file.close()
        return None


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _number(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    if os.fstat(file.fileno()).st_size < file.tell():
        # It was emptied (`copytruncate`).
        file.seek(0)
    while line := file.readline(LONGEST_LINE):
        if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
            file.seek(-len(line), os.SEEK_CUR)
            return
        yield line
