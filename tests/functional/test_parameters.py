"""Declared parameters, from a client through the real server to an origin."""

import json

from tests.functional.conftest import Portal
from tests.functional.origin import length, replying


def test_declared_parameters_reach_the_origin_and_others_do_not(portal: Portal) -> None:
    case = portal.origin.on(replying(length(b"x" * 1000)))

    good = portal.fetch("chosen", query=f"?since=2026-01-31&case={case.name}").read()
    bad = portal.fetch("chosen", query=f"?since=today&case={case.name}&admin=1").read()
    page = portal.fetch("chosen", "Accept: text/html", query="?admin=1").read()

    assert (good.status, good.body) == (200, b"x" * 1000)
    assert [request.target for request in case.requests] == [
        f"/file?case={case.name}&since=2026-01-31&form=csv"
    ]
    assert bad.status == 400
    error = json.loads(bad.body)["error"]
    assert error["code"] == "parameters_invalid"
    assert "since: Enter a date" in error["message"]
    assert "There is no parameter admin" in error["message"]
    assert page.status == 400
    assert b"There is no parameter admin" in page.body
