"""A query as gzipped CSV, row by row: the whole of it is nowhere."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from spillway_lambda import Context, Event, Head, guarded, gzipped, rows, streamify

MEASUREMENTS = 200_000
QUERY = """
    WITH RECURSIVE measured(id) AS (
        SELECT 1 UNION ALL SELECT id + 1 FROM measured WHERE id < ?
    )
    SELECT id, 'sensor-' || (id % 40) AS sensor, 15 + (id * 7 % 120) / 10.0 AS celsius FROM measured
"""


@guarded
@gzipped
@streamify
def handler(event: Event, context: Context) -> Iterator[Head | bytes]:
    # A sample; put your own database here. With PostgreSQL, `connection.cursor(name="export")`, or
    # all rows are fetched at once.
    with closing(sqlite3.connect(":memory:")) as database:
        cursor = database.execute(QUERY, (MEASUREMENTS,))
        yield Head(200, {"Content-Type": rows.CSV})
        yield from rows.as_csv(cursor)
