"""Puts very many rows into a table, without an object for each."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from django.db import connection, transaction
from django.db.models import Model

Row = Mapping[str, Any]
# Rows of one transaction.
BATCH = 50_000


def load(model: type[Model], rows: Iterable[Row]) -> None:
    """Rows name their fields as they are stored (`user_id`); what one leaves out has its default.

    By COPY where the database knows it.
    """
    coming, stored = iter(rows), _stored(model)
    columns = (str(one.column) for one in model._meta.concrete_fields)
    names = ", ".join(connection.ops.quote_name(one) for one in columns)
    into = f"{model._meta.db_table} ({names})"
    while batch := list(islice(coming, BATCH)):
        with transaction.atomic(), connection.cursor() as cursor:
            _write(cursor, into, [stored(row) for row in batch])


def _stored(model: type[Model]) -> Callable[[Row], list[Any]]:
    """What makes the values for all columns of a row."""
    fields = model._meta.concrete_fields
    default = {one.attname: one.get_db_prep_save(one.get_default(), connection) for one in fields}

    def stored(row: Row) -> list[Any]:
        return [
            one.get_db_prep_save(row[one.attname], connection)
            if one.attname in row
            else default[one.attname]
            for one in fields
        ]

    return stored


def _write(cursor: Any, into: str, rows: list[list[Any]]) -> None:
    if connection.vendor == "postgresql":
        with cursor.copy(f"COPY {into} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    else:
        marks = ", ".join(["%s"] * len(rows[0]))
        cursor.executemany(f"INSERT INTO {into} VALUES ({marks})", rows)
