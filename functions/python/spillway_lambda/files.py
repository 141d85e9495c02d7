"""A file, or bytes that are there already, as an answer with ranges."""

import functools
import hashlib
import mimetypes
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from spillway_lambda import ranged
from spillway_lambda.invocation import Event
from spillway_lambda.ranges import Part, Version, is_strong_tag
from spillway_lambda.streaming import HttpError, Response

PIECE = 256 * 1024
# Digests that are kept: of so many files each is computed once, while it stays as it is.
DIGESTS = 64


class FileChangedError(Exception):
    """The file was written to, replaced or cut while it was being sent."""


@dataclass(frozen=True)
class _State:
    """What tells one content of a file from another."""

    device: int
    inode: int
    size: int
    changed_ns: int
    written_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> "_State":
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns, found.st_mtime_ns)


def answer(
    event: Event,
    path: Path | str,
    *,
    etag: str | None = None,
    fields: Mapping[str, str] | None = None,
) -> Response:
    """The file at `path`, or the part of it that the request asks for.

    `etag` is a strong entity tag, quotes included, if one is known; otherwise the file's SHA-256 is
    its tag, for which it is read once while it stays as it is. `fields` are more header fields; the
    media type is guessed from the name. Raises `HttpError`: 404, 405, 412, 416. A file that changes
    while it is sent raises `FileChangedError`, and two versions of it are never mixed.
    """
    ranged.check_method(event)
    path = Path(path)
    try:
        state = _State.of(path.stat())
        tag = _tag(etag) if etag else _digest(path, state)
    except (FileNotFoundError, IsADirectoryError) as exc:
        raise HttpError(404, "no_such_file", "The file does not exist.") from exc
    written = datetime.fromtimestamp(state.written_ns // 1_000_000_000, UTC)
    version = Version(state.size, tag, written)
    described = {"Content-Type": mimetypes.guess_type(path.name)[0] or ranged.OCTETS}
    described |= dict(fields or {})
    return ranged.answer(event, version, lambda part: _read(path, state, part), fields=described)


def answer_bytes(
    event: Event,
    content: bytes,
    *,
    etag: str | None = None,
    last_modified: datetime | None = None,
    fields: Mapping[str, str] | None = None,
) -> Response:
    """The same for bytes in memory; their SHA-256 is their tag, unless `etag` is given."""
    ranged.check_method(event)
    tag = _tag(etag) if etag else f'"{hashlib.sha256(content).hexdigest()}"'
    version = Version(len(content), tag, last_modified)
    return ranged.answer(event, version, lambda part: _slices(content, part), fields=fields)


def _tag(etag: str) -> str:
    if not is_strong_tag(etag):
        raise ValueError(f'{etag!r} is not a strong entity tag, such as "v1" with its quotes')
    return etag


@functools.lru_cache(DIGESTS)
def _digest(path: Path, state: _State) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        _check(file.fileno(), state)
    return f'"{digest}"'


def _read(path: Path, state: _State, part: Part) -> Iterator[bytes]:
    # Opened as late as it is read, for nobody closes a body that was not begun.
    with path.open("rb", buffering=0) as file:
        at = part.first
        while at <= part.last:
            piece = os.pread(file.fileno(), min(PIECE, part.last + 1 - at), at)
            # Behind the read and before the bytes go out.
            _check(file.fileno(), state)
            if not piece:
                raise FileChangedError("the file is shorter than it was")
            at += len(piece)
            yield piece


def _check(descriptor: int, state: _State) -> None:
    if _State.of(os.fstat(descriptor)) != state:
        raise FileChangedError("the file is another one than when the answer began")


def _slices(content: bytes, part: Part) -> Iterator[bytes]:
    for at in range(part.first, part.last + 1, PIECE):
        yield content[at : min(at + PIECE, part.last + 1)]
