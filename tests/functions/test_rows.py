"""Rows as CSV and NDJSON."""

import csv
import io
import json
import sqlite3
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spillway_lambda import rows
from spillway_lambda.rows import PIECE, RowError

COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
ORDERS = f"{COUNT} SELECT i AS id, 'order ' || i AS name, printf('%200d', i) AS note FROM n"


class ServerCursor:
    """Describes itself no earlier than it was fetched from, as psycopg2's does."""

    description: Sequence[Sequence[Any]] | None = None

    def __init__(self, *batches: list[tuple[Any, ...]]) -> None:
        self._batches = list(batches)

    def fetchmany(self, size: int, /) -> list[tuple[Any, ...]]:
        self.description = [("id", None), ("name", None)]
        return self._batches.pop(0) if self._batches else []


def text(pieces: Iterator[bytes]) -> str:
    return b"".join(pieces).decode()


def test_a_cursor_becomes_csv_in_pieces_of_64_kib() -> None:
    cursor = sqlite3.connect(":memory:").execute(ORDERS, (5000,))

    pieces = list(rows.as_csv(cursor))

    # The first one comes early; the last one is what is left.
    assert len(pieces[0]) < PIECE
    assert all(PIECE <= len(piece) < PIECE + 1024 for piece in pieces[1:-1])
    read = list(csv.reader(io.StringIO(b"".join(pieces).decode(), newline="")))
    assert read[0] == ["id", "name", "note"]
    assert [row[0] for row in read[1:]] == [str(number) for number in range(1, 5001)]


@pytest.mark.parametrize("write", [rows.as_csv, rows.as_ndjson])
def test_many_rows_need_little_memory(write: Any) -> None:
    query = f"{COUNT} SELECT i, printf('%2000d', i) FROM n"
    cursor = sqlite3.connect(":memory:").execute(query, (15_000,))
    pieces = write(cursor, ["number", "note"])
    next(pieces)

    tracemalloc.start()
    size = sum(len(piece) for piece in pieces)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size > 30_000_000
    assert peak < 5_000_000


def test_a_cursor_that_describes_itself_late_still_names_its_columns() -> None:
    def cursor() -> ServerCursor:
        return ServerCursor([(1, "one")], [(2, "two")])

    assert text(rows.as_csv(cursor())) == "id,name\r\n1,one\r\n2,two\r\n"
    assert text(rows.as_ndjson(cursor())) == (
        '{"id": 1, "name": "one"}\n{"id": 2, "name": "two"}\n'
    )


def test_a_result_without_rows_is_a_line_of_names_or_nothing() -> None:
    assert text(rows.as_csv(ServerCursor())) == "id,name\r\n"
    assert text(rows.as_ndjson(ServerCursor())) == ""
    assert text(rows.as_csv([])) == ""


def test_values_are_written_so_that_they_can_be_read_back() -> None:
    values = {
        "nothing": None,
        "yes": True,
        "number": 2**70,
        "float": 0.1,
        "amount": Decimal("1234567890123456789.10"),
        "large": Decimal("1E+3"),
        "day": date(2026, 11, 25),
        "at": datetime(2026, 11, 25, 12, 30, 0, 5, UTC),
        "clock": time(1, 2, 3),
        "lasted": timedelta(hours=30),
        "bytes": memoryview(b"\0\xff"),
        "id": UUID(int=1),
        "text": 'ä, "b"\r\n',
        "list": [Decimal("0.10"), {"a": None}],
    }

    written = list(csv.reader(io.StringIO(text(rows.as_csv([values])), newline="")))[1]

    assert written == [
        "",
        "true",
        "1180591620717411303424",
        "0.1",
        "1234567890123456789.10",
        "1000",
        "2026-11-25",
        "2026-11-25T12:30:00.000005+00:00",
        "01:02:03",
        "1 day, 6:00:00",
        "AP8=",
        "00000000-0000-0000-0000-000000000001",
        'ä, "b"\r\n',
        '[0.10, {"a": null}]',
    ]
    line = text(rows.as_ndjson([values]))
    assert line.count("\n") == 1
    assert '"amount": 1234567890123456789.10,' in line
    assert '"large": 1000,' in line
    read = json.loads(line)
    assert (read["bytes"], read["text"], read["nothing"]) == ("AP8=", 'ä, "b"\r\n', None)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
            st.integers(),
        ),
        max_size=20,
    )
)
def test_any_text_is_read_back_as_it_was(source: list[tuple[str, int]]) -> None:
    columns = ["text", "number"]

    as_csv = list(csv.reader(io.StringIO(text(rows.as_csv(source, columns)), newline="")))
    as_ndjson = [
        json.loads(line) for line in text(rows.as_ndjson(source, columns)).split("\n")[:-1]
    ]

    assert [(row[0], int(row[1])) for row in as_csv[1:]] == source
    assert [(row["text"], row["number"]) for row in as_ndjson] == source


def test_mappings_are_ordered_by_their_columns() -> None:
    source = [{"a": 1, "b": 2}, {"b": 4, "a": 3}]

    assert text(rows.as_csv(source)) == "a,b\r\n1,2\r\n3,4\r\n"
    assert text(rows.as_csv(source, ["b", "a"])) == "b,a\r\n2,1\r\n4,3\r\n"
    assert text(rows.as_ndjson([{"a": 1}, {"other": 2}])) == '{"a": 1}\n{"other": 2}\n'


@pytest.mark.parametrize(
    ("write", "source", "columns", "message"),
    [
        (rows.as_csv, [(1, 2), (1,)], ["a", "b"], "has 1 values where 2 columns"),
        (rows.as_csv, [{"a": 1}, {"b": 1}], None, "lacks the column 'a'"),
        (rows.as_csv, [(object(),)], None, "is a object. Convert it in the query"),
        (rows.as_ndjson, [(1, 2)], None, "Give them as `columns`"),
        (rows.as_ndjson, [(1, 2)], ["a", "a"], "the same name"),
        (rows.as_ndjson, [{"a": float("nan")}], None, "JSON has no nan"),
        (rows.as_ndjson, [{"a": Decimal("Infinity")}], None, "JSON has no Infinity"),
        (rows.as_ndjson, [{"a": [object()]}], None, "is a object. Convert it in the query"),
    ],
)
def test_what_cannot_be_written_is_told(
    write: Any, source: Any, columns: list[str] | None, message: str
) -> None:
    with pytest.raises(RowError, match=message):
        b"".join(write(source, columns))


def test_the_query_fails_before_anything_is_sent() -> None:
    class Failing:
        description = None

        def fetchmany(self, size: int, /) -> list[tuple[Any, ...]]:
            raise TimeoutError("the query took too long")

    with pytest.raises(TimeoutError):
        rows.as_csv(Failing())


def test_a_slow_iterable_is_not_waited_for() -> None:
    def slow() -> Iterator[tuple[int]]:
        yield (1,)
        raise AssertionError("the first row was held back until the second")

    assert next(rows.as_csv(slow(), ["id"])) == b"id\r\n1\r\n"
