"""Whether anything was lost: what users saw, held against what the portal has recorded."""

from collections import Counter
from collections.abc import Iterator

import psycopg
import psycopg.rows

from bench.soak.cases import WHOLE
from bench.soak.traffic import Ended, Traffic
from tests.functional.composition import Composition
from tests.functional.conftest import until
from tests.rotation.rotating import assert_told_nowhere

# Seconds after which a record whose process was killed has ended.
PATIENCE = 120

Row = dict[str, object]


def told(portal: Composition, traffic: Traffic) -> Iterator[str]:
    """What is wrong, in sentences; nothing where all is well. Nobody may use the portal by now."""
    yield from (f"A user or consumer gave up: {exc!r}" for exc in traffic.broken)
    refused = Counter(map(str, traffic.refused))
    yield from (f"{count} requests were refused: {what}" for what, count in refused.items())
    running = "select count(*) from streams_download where state = 'running'"
    if not until(lambda: portal.row(running)["count"] == 0, PATIENCE):
        yield f"{portal.row(running)['count']} records still run."
    records = {str(row["id"]): row for row in rows(portal, "select * from streams_download")}
    for ended in traffic.ended:
        if problem := against(ended, records.get(ended.id)):
            yield f"{ended.case.name}: {problem} ({ended.id})"
    for row in rows(portal, "select state, problem from streams_rotation"):
        if row["state"] != "completed":
            yield f"A rotation is {row['state']}: {row['problem']}"
    try:
        assert_told_nowhere(portal.world, [portal.world.variables()["SECRET_HEADER"]])
    except AssertionError as exc:
        yield f"The secret's value is where it should not be: {exc}"


def rows(portal: Composition, query: str) -> list[Row]:
    with psycopg.connect(portal.database.url, row_factory=psycopg.rows.dict_row) as connection:
        return connection.execute(query.encode()).fetchall()


def against(ended: Ended, record: Row | None) -> str:
    """What is wrong with one download; empty where what its user saw and its record agree."""
    if ended.seen == "other bytes":
        return "whole by its framing, with bytes that are none of the file's"
    if ended.seen == "turned away":
        return ""
    if record is None:
        return "no record"
    state = record["state"]
    if ended.seen == "nothing more":
        return f"its user waited in vain, and its record says {state}, {record}"
    if ended.seen == "whole":
        if not ended.case.comes:
            return "whole, although the source broke off"
        # Who is killed between the last byte and the record knows only what it knew before.
        if state not in _WHOLE or (state == "complete" and record["sent"] != len(WHOLE)):
            return f"came whole, and its record says {state}, {record['sent']} bytes"
    if ended.seen == "cut" and state not in _CUT:
        return f"was cut, and its record says {state}"
    if ended.seen == "cut" and ended.case.comes and state == "cut":
        return f"was cut for {record['reason']}, although it could have been gone on with"
    return ""


_WHOLE = {"complete", "interrupted"}
_CUT = {"cut", "interrupted", "failed"}
