"""A list that is handed out page by page: small answers, which any gateway carries."""

import base64
import binascii
import json
import sqlite3
from contextlib import closing

from spillway_lambda import Context, Event, HttpError, Response, guarded

# Rows: a page of these stays far below 6 MB.
PAGE = 500
PEOPLE = 10_000


@guarded
def handler(event: Event, context: Context) -> Response:
    """The page behind `after`, a token from the page before."""
    parameters = event.get("queryStringParameters") or {}
    after = _position(parameters.get("after", ""))
    with closing(connect()) as database:
        # By the key and not by an offset: what is inserted meanwhile moves no row to another page,
        # and the last page costs no more than the first.
        found = database.execute(
            "SELECT id, name, city FROM people WHERE id > ? ORDER BY id LIMIT ?", (after, PAGE + 1)
        ).fetchall()
    items = [dict(row) for row in found[:PAGE]]
    following = _token(items[-1]["id"]) if len(found) > PAGE else None
    body = json.dumps({"data": items, "page": {"next": following}}).encode()
    return Response(200, {"Content-Type": "application/json"}, body=[body])


def connect() -> sqlite3.Connection:
    """A sample; put your own database here."""
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    database.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, city TEXT)")
    database.executemany(
        "INSERT INTO people VALUES (?, ?, ?)",
        ((n, f"Person {n}", ("Berlin", "Lyon", "Łódź")[n % 3]) for n in range(1, PEOPLE + 1)),
    )
    return database


def _token(position: int) -> str:
    # Opaque, so that nobody comes to rely on what is in it.
    return base64.urlsafe_b64encode(str(position).encode()).decode()


def _position(token: str) -> int:
    try:
        return int(base64.b64decode(token, altchars=b"-_", validate=True) or b"0")
    except (ValueError, binascii.Error):
        raise HttpError(400, "bad_token", "Take `after` from the page before.") from None
