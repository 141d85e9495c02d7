"""Pages of a JSON API, stitched into one file.

What an item says arrives as it was said: a number keeps its text, since `1.10` and integers beyond
64 bits would not survive a float, and what cannot be carried over faithfully is refused.
"""

import csv
import io
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

# In bytes, of one page.
LARGEST = 64 * 1024 * 1024

_LINK = re.compile(r'[ \t,]*<([^<>]*)>((?:[^",<>]|"(?:[^"\\]|\\.)*")*)(?:,|$)')
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s;"]*))?')
# A number is held as its text in bytes, which no other JSON value is. Objects of a class of our own
# would be the garbage collector's to look after, and take four times as long.
Number = bytes
_number = str.encode
_CONSTANTS = {None: "null", True: "true", False: "false"}
_quoted = json.JSONEncoder(ensure_ascii=False).encode


class PageShapeError(ValueError):
    """A page is not what was declared. The message repeats nothing of the page."""


class PageBytes:
    """The decoded bytes of one page as they come, held up to `LARGEST`."""

    def __init__(self, coding: str) -> None:
        """`coding` is the content coding. Raises `PageShapeError` for any but gzip and none."""
        if coding not in {"", "identity", "gzip"}:
            raise PageShapeError("its content coding is neither gzip nor none")
        self.data = bytearray()
        self._came = 0
        self._gzip = _gunzip() if coding == "gzip" else None

    @property
    def complete(self) -> bool:
        """Whether a gzipped page has come to its end; another has only its framing to tell."""
        return self._gzip is None or bool(self._gzip.eof)

    def feed(self, chunk: bytes) -> None:
        """Raises `PageShapeError`."""
        self._came += len(chunk)
        if self._gzip is None:
            self.data += chunk
        else:
            self._inflate(chunk)
        # Counted at both ends: a gzip stream may go on for ever without a byte in it.
        if max(len(self.data), self._came) > LARGEST:
            raise PageShapeError(f"it is larger than {LARGEST >> 20} MiB")

    def _inflate(self, chunk: bytes) -> None:
        while chunk and len(self.data) <= LARGEST:
            if self.complete:
                # A gzip file may have several members (RFC 1952 section 2.2).
                self._gzip = _gunzip()
            assert self._gzip is not None
            try:
                self.data += self._gzip.decompress(chunk, LARGEST + 1 - len(self.data))
            except zlib.error as exc:
                raise PageShapeError("it is not valid gzip") from exc
            chunk = self._gzip.unused_data


def _gunzip() -> Any:
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


def parse(data: bytes | bytearray) -> Any:
    """The value of a JSON text, numbers as `Number`. Raises `PageShapeError`."""
    try:
        return json.loads(
            data.decode("utf-8-sig"),
            parse_int=_number,
            parse_float=_number,
            parse_constant=_no_constant,
            object_pairs_hook=_object,
        )
    except PageShapeError:
        raise
    except (ValueError, RecursionError):
        # The parser's own error holds the whole page.
        raise PageShapeError("it is not valid JSON") from None


def _no_constant(_: str) -> NoReturn:
    raise PageShapeError("it has NaN or Infinity, which is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Being Python, this also lets other threads run while a large page is parsed.
    made = dict(pairs)
    if len(made) != len(pairs):
        raise PageShapeError("an object has a key twice, and one of the two would be lost")
    return made


def found(page: Any, path: str, default: Any = None) -> Any:
    """What stands at a dotted path; `.` is the page itself.

    A key that has dots of its own, such as `@odata.nextLink`, is found too.
    """
    if path == ".":
        return page
    while isinstance(page, dict) and path not in page:
        name, _, path = path.partition(".")
        page = page.get(name)
    return page[path] if isinstance(page, dict) else default


def items(page: Any, path: str) -> list[Any]:
    """The list at a path. Raises `PageShapeError` if there is none."""
    listed = found(page, path)
    if not isinstance(listed, list):
        raise PageShapeError(f"it has no list at `{path}`")
    return listed


def pointer(page: Any, path: str) -> str | Number | None:
    """The URL or token at a path; None on the last page. Raises `PageShapeError`."""
    value = found(page, path)
    if value is None or value is False or value == "":
        return None
    if not isinstance(value, str | Number):
        raise PageShapeError(f"what stands at `{path}` is neither a text nor a number")
    return value


def says_more(page: Any, path: str, *, empty: bool) -> bool:
    """Whether a page follows one that is `empty` or not, by what stands at a path.

    Only `true` leads on from an empty page: without it, pages are asked for until one is empty.
    """
    value = found(page, path, default=not empty)
    if isinstance(value, Number):
        value = float(value)
    return value is True or (bool(value) and not empty)


def next_link(header: str) -> str | None:
    """The target of `rel="next"` (RFC 8288), None without. Raises `PageShapeError`."""
    header = header.rstrip(" \t,")
    position = 0
    while position < len(header):
        match = _LINK.match(header, position)
        if match is None:
            # What cannot be read might be the link that leads on.
            raise PageShapeError("its Link header cannot be read")
        values = (value for name, value in _PARAMETER.findall(match[2]) if name.lower() == "rel")
        if "next" in next(values, "").strip('"').lower().split():
            return match[1].strip()
        position = match.end()
    return None


def compact(value: Any) -> str:
    """JSON without spaces. Python's own encoder would write numbers its own way."""
    if isinstance(value, Number):
        return value.decode()
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict):
        return "{" + ",".join([f"{_quoted(k)}:{compact(v)}" for k, v in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([compact(each) for each in value]) + "]"
    return _CONSTANTS[value]


class Lines:
    """One item per line, page after page."""

    media_type = "application/x-ndjson"
    # A surrogate on its own has no form in UTF-8, and becomes JSON's escape of it.
    _surrogates = "backslashreplace"

    def add(self, listed: Sequence[Any]) -> bytes:
        """What a page's items add to the file. Raises `PageShapeError`."""
        try:
            return self._text(listed).encode("utf-8", self._surrogates)
        except RecursionError:
            raise PageShapeError("its items are nested too deeply") from None
        except UnicodeEncodeError:
            raise PageShapeError("an item has half of a character, which CSV cannot hold") from None

    def end(self) -> bytes:
        """What ends the file."""
        return b""

    def _text(self, listed: Sequence[Any]) -> str:
        return "".join([f"{compact(item)}\n" for item in listed])


class Array(Lines):
    """One JSON array."""

    media_type = "application/json"
    _begun = False

    def end(self) -> bytes:
        return b"]\n" if self._begun else b"[]\n"

    def _text(self, listed: Sequence[Any]) -> str:
        if not listed:
            return ""
        before, self._begun = ",\n" if self._begun else "[", True
        return before + ",\n".join([compact(item) for item in listed])


class Table(Lines):
    """CSV (RFC 4180). Without declared columns they are the keys of the first page with items."""

    media_type = "text/csv; charset=utf-8"
    _surrogates = "strict"

    def __init__(self, columns: Iterable[str]) -> None:
        self._columns = dict.fromkeys(columns)
        self._begun = False

    def _text(self, listed: Sequence[Any]) -> str:
        if not all(isinstance(item, dict) for item in listed):
            raise PageShapeError("an item is no object, so that it has no columns")
        self._columns = self._columns or dict.fromkeys(key for item in listed for key in item)
        if listed and not self._columns:
            raise PageShapeError("its items have no keys that could be columns")
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\r\n")
        if self._columns and not self._begun:
            rows.writerow(self._columns)
            self._begun = True
        rows.writerows(self._row(number, item) for number, item in enumerate(listed, 1))
        return text.getvalue()

    def _row(self, number: int, item: dict[str, Any]) -> list[str]:
        if not item.keys() <= self._columns.keys():
            raise PageShapeError(f"item {number} has a key that is not a column")
        return [_cell(item.get(column)) for column in self._columns]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else compact(value)


def stitcher(kind: str, columns: Iterable[str] | None = None) -> Lines:
    """For `ndjson`, `json` or `csv`; `columns` are those of a table."""
    if kind == "csv":
        return Table(columns or ())
    return Array() if kind == "json" else Lines()
