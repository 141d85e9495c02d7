"""Figures that only grow, for all processes together: what `/metrics` tells of the past.

They are rows, and no memory of a process: whoever is asked knows those of every web server, worker
and machine, and of those that have ended (docs/metrics.md has the reasons).
"""

import json
from bisect import bisect_left
from collections.abc import Mapping
from enum import StrEnum
from math import inf
from typing import NamedTuple

from django.db import connection, models

# Rows of one statement: SQLite takes a bounded number of values.
_AT_ONCE = 500
# The label under which a histogram keeps the sum of what it was told.
SUM = "sum"


class Figure(StrEnum):
    """What is counted, and by which labels."""

    DOWNLOADS = "downloads"  # export, state, proof
    UNFINISHED = "unfinished"  # state, reason
    BYTES = "bytes"  # export
    RESUMES = "resumes"  # export
    FIRST_BYTE = "first-byte"  # a histogram
    DURATION = "duration"  # a histogram
    ORIGIN_REQUESTS = "origin-requests"  # kind, outcome
    SEGMENTS = "segments"
    ROTATIONS = "rotations"  # mode, state
    TASKS = "tasks"  # task, outcome
    TASK_SECONDS = "task-seconds"  # task
    RESPONSES = "responses"  # class of the status


# Upper bounds in seconds.
BOUNDS: Mapping[Figure, tuple[float, ...]] = {
    Figure.FIRST_BYTE: (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, inf),
    Figure.DURATION: (0.5, 2, 10, 30, 60, 300, 900, 3600, 4 * 3600, inf),
}


class Key(NamedTuple):
    figure: Figure
    labels: tuple[str, ...] = ()


class Figures(dict[Key, float]):
    """What has been counted and is not stored yet. Belongs to one thread."""

    def count(self, figure: Figure, *labels: str, by: float = 1) -> None:
        self.merge({Key(figure, labels): by})

    def observe(self, figure: Figure, seconds: float) -> None:
        """For a histogram."""
        bounds = BOUNDS[figure]
        self.count(figure, str(bounds[bisect_left(bounds, seconds)]))
        self.count(figure, SUM, by=seconds)

    def merge(self, others: Mapping[Key, float]) -> None:
        """Counts them too."""
        for key, value in others.items():
            self[key] = self.get(key, 0) + value

    def take(self) -> "Figures":
        """All of it, which is here no longer. What could not be stored is merged again."""
        taken = Figures(self)
        self.clear()
        return taken


class TallyQuerySet(models.QuerySet["Tally"]):
    def add(self, figures: Mapping[Key, float]) -> None:
        """Counts them in, within the transaction of what they tell of.

        Before anything is appended to the audit log, and once in a transaction: the rows stay
        locked until its end, and are locked in one order by all.
        """
        rows = sorted((str(key.figure), json.dumps(key.labels), n) for key, n in figures.items())
        table = connection.ops.quote_name(Tally._meta.db_table)
        for first in range(0, len(rows), _AT_ONCE):
            some = rows[first : first + _AT_ONCE]
            statement = (
                f"INSERT INTO {table} (figure, labels, value) VALUES"  # noqa: S608 - our name
                f" {', '.join(['(%s, %s, %s)'] * len(some))}"
                " ON CONFLICT (figure, labels)"
                f" DO UPDATE SET value = {table}.value + EXCLUDED.value"
            )
            with connection.cursor() as cursor:
                cursor.execute(statement, [value for row in some for value in row])

    def figures(self) -> Figures:
        """All that was ever counted."""
        # A later version, from which somebody has gone back, may have counted others.
        rows = self.filter(figure__in=Figure).values_list("figure", "labels", "value")
        return Figures({Key(Figure(f), tuple(json.loads(labels))): n for f, labels, n in rows})


class Tally(models.Model):
    """One of them, under its labels: a list in JSON."""

    figure = models.CharField(max_length=30)
    labels = models.CharField(max_length=300)
    value = models.FloatField()

    objects = TallyQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["figure", "labels"], name="tally_once")]

    def __str__(self) -> str:
        return f"{self.figure} {self.labels}"
