"""Rows of a database, or of anything else, as CSV or NDJSON: in pieces, and with little memory.

A `source` is a DB-API cursor on which a query was executed, or any iterable of rows. A row is a
sequence, or a mapping by column.

What decides over memory is where the rows wait. Many drivers fetch all of them at `execute`, unless
the cursor is one of the server's: `connection.cursor(name="export")` with psycopg,
`pymysql.cursors.SSCursor` with PyMySQL. sqlite3 always steps through.
"""

import base64
import csv
import io
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from json.encoder import encode_basestring as _quoted
from typing import Any, Protocol, TypeGuard, cast
from uuid import UUID

CSV = "text/csv; charset=utf-8"
NDJSON = "application/x-ndjson"

# In characters: what is gathered before it is handed out.
PIECE = 64 * 1024
# Rows that are fetched at a time; of the first piece fewer, so that it comes early.
FETCH = 1000
FETCH_FIRST = 100

Row = Sequence[Any] | Mapping[str, Any]
Line = Callable[[Row], None]


class RowError(ValueError):
    """A row or a value that cannot be written as what was asked for."""


class Cursor(Protocol):
    """What is used of a DB-API cursor (PEP 249)."""

    @property
    def description(self) -> Sequence[Sequence[Any]] | None: ...

    def fetchmany(self, size: int, /) -> Sequence[Row]: ...


def as_csv(source: Cursor | Iterable[Row], columns: Sequence[str] | None = None) -> Iterator[bytes]:
    """CSV as RFC 4180 wants it, in UTF-8, with a line of names above.

    `columns` are the names; else the cursor or the first row tells them, and rows that have no
    names are written without any. None becomes nothing, bytes base64, and dates ISO 8601. Raises
    `RowError` for a row of another shape, and for values of other types.
    """
    batches, columns = _opened(source, columns)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    if columns is not None:
        writer.writerow(columns)

    def write(row: Row) -> None:
        writer.writerow([_text(value) for value in _values(row, columns)])

    return _pieces(buffer, batches, write)


def as_ndjson(
    source: Cursor | Iterable[Row], columns: Sequence[str] | None = None
) -> Iterator[bytes]:
    """One JSON object in each line, in UTF-8.

    A mapping is written as it is, unless `columns` choose; another row needs the names of its
    columns, from `columns` or the cursor. A Decimal becomes a number with all of its digits, bytes
    base64, and dates ISO 8601. Raises `RowError` for what JSON does not have.
    """
    batches, columns = _opened(source, columns, mappings_tell=False)
    if columns is not None and len(set(columns)) != len(columns):
        raise RowError("Two columns have the same name. Name them apart in the query: `AS other`.")
    names = columns
    buffer = io.StringIO()

    def write(row: Row) -> None:
        if isinstance(row, Mapping) and names is None:
            buffer.write(_json(row))
        elif names is None:
            raise RowError("The rows have no names. Give them as `columns`.")
        else:
            buffer.write(_json(dict(zip(names, _values(row, names), strict=True))))
        buffer.write("\n")

    return _pieces(buffer, batches, write)


def _opened(
    source: Cursor | Iterable[Row],
    columns: Sequence[str] | None,
    *,
    mappings_tell: bool = True,
) -> tuple[Iterator[Sequence[Row]], Sequence[str] | None]:
    """The rows in batches, of which the first is here, and their columns where these are known."""
    batches = _fetched(source) if _is_cursor(source) else _batched(cast(Iterable[Row], source))
    first = next(batches, ())
    # Behind the first fetch: some server-side cursors describe themselves no earlier.
    if columns is None and _is_cursor(source):
        columns = [str(column[0]) for column in source.description or ()]
    elif columns is None and mappings_tell and first and isinstance(first[0], Mapping):
        columns = list(first[0])
    return itertools.chain([first], batches), columns


def _is_cursor(source: object) -> TypeGuard[Cursor]:
    return hasattr(source, "fetchmany") and hasattr(source, "description")


def _fetched(cursor: Cursor) -> Iterator[Sequence[Row]]:
    size = FETCH_FIRST
    while rows := cursor.fetchmany(size):
        yield rows
        size = FETCH


def _batched(rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
    # An iterable may be slow, and has no fetches that would cost anything.
    return ([row] for row in rows)


def _pieces(buffer: io.StringIO, batches: Iterable[Sequence[Row]], write: Line) -> Iterator[bytes]:
    """What `write` makes of the rows: the first batch at once, then in pieces of 64 KiB or more."""
    least = 1
    for batch in batches:
        for row in batch:
            write(row)
            if buffer.tell() >= PIECE:
                yield _taken(buffer)
        if buffer.tell() >= least:
            yield _taken(buffer)
        least = PIECE
    if buffer.tell():
        yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def _values(row: Row, columns: Sequence[str] | None) -> Sequence[Any]:
    """A row's values in the order of the columns. Raises `RowError` where it has others."""
    if columns is None:
        return cast(Sequence[Any], row)
    if len(row) != len(columns):
        raise RowError(f"A row has {len(row)} values where {len(columns)} columns were named.")
    if not isinstance(row, Mapping):
        return row
    try:
        return [row[name] for name in columns]
    except KeyError as exc:
        raise RowError(f"A row lacks the column {exc}.") from exc


def _text(value: object) -> str:
    """A value in CSV."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping | list | tuple):
        return _json(value)
    return _plain(value)


def _json(value: object) -> str:
    """A value in JSON. The standard encoder would lose the digits of a Decimal."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Decimal | float) and not math.isfinite(value):
        raise RowError(f"JSON has no {value}. Make it NULL in the query.")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        pairs = (f"{_quoted(str(name))}: {_json(each)}" for name, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_json, value)) + "]"
    return _quoted(_plain(value))


def _plain(value: object) -> str:
    """A value that is text in either format."""
    if isinstance(value, date | time):
        # A datetime is a date, too.
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, UUID | timedelta):
        return str(value)
    raise RowError(f"A value is a {type(value).__name__}. Convert it in the query.")
