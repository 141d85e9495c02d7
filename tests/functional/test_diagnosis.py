"""From a download that fails to its likely cause: web server, scheduler and worker as in use."""

from pathlib import Path

import pytest

from tests.functional.conftest import running, until
from tests.functional.origin import Origin
from tests.functional.workers import working

REGISTRY = """
version: 1
endpoints:
  - {slug: gone, title: Gone, kind: http, url: "http://127.0.0.1:1/", groups: "*"}
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_download_that_fails_has_its_likely_cause_soon(tmp_path: Path, origin: Origin) -> None:
    with running(tmp_path, origin, registry_text=REGISTRY, SPILLWAY_TICK="1") as portal:
        answer = portal.fetch("gone").read()
        assert portal.record(answer)["cause"] == ""
        with working(portal.environment, tmp_path / "worker-log"):
            assert until(lambda: portal.record(answer)["cause"], 200)

        record = portal.record(answer)

    assert answer.status == 502
    assert (record["reason"], record["cause"]) == ("origin_unreachable", "does-not-open")
    assert "The source could not be reached." in record["diagnosis"]
