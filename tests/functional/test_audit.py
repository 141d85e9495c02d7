"""Downloads in the audit log, as the server writes them."""

import contextlib
import json
import sqlite3
from typing import Any

from tests.functional.conftest import Portal, until
from tests.functional.origin import length, replying


def entries(portal: Portal, download: str) -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(portal.folder / "db.sqlite3")) as database:
        database.row_factory = sqlite3.Row
        found = database.execute(
            "select * from streams_auditentry where details like ? order by number",
            [f'%"{download}"%'],
        )
        return [{**row, "details": json.loads(row["details"])} for row in found.fetchall()]


def test_a_download_is_recorded_as_it_begins_and_ends(portal: Portal) -> None:
    answer = portal.get(replying(length(b"x" * 1000)))
    download = answer.value("x-download-id") or ""

    assert until(lambda: len(entries(portal, download)) >= 2)
    began, ended = entries(portal, download)
    for entry in (began, ended):
        assert (entry["actor"], entry["what"]) == ("ann", "plain")
        assert (entry["how"], entry["address"]) == ("web", "127.0.0.1")
    assert (began["action"], ended["action"]) == ("download.began", "download.ended")
    assert ended["details"] == {"download": download, "outcome": "complete", "bytes": "1000"}


def test_one_that_never_began_is_recorded_as_failed(portal: Portal) -> None:
    answer = portal.get(replying(b"nonsense\r\n\r\n"))
    download = answer.value("x-download-id") or ""

    assert until(lambda: entries(portal, download))
    (ended,) = entries(portal, download)
    assert (ended["action"], ended["details"]["outcome"]) == ("download.ended", "failed")
    assert ended["details"]["reason"]
