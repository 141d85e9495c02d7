"""`/metrics` of a portal of several processes, and a worker beside it."""

import os
import signal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.functional.client import Exchange
from tests.functional.conftest import Portal, running, until
from tests.functional.origin import Connection, Origin, Request, chunks, head, length, replying
from tests.functional.test_resume import CUT, DATA, breaking, reset
from tests.functional.test_segments import honest
from tests.functional.test_workers import workers_of
from tests.functional.workers import working

pytestmark = pytest.mark.slow


def scraped(portal: Portal) -> dict[str, float]:
    """By name and values of labels, in the order of their names, as one of the processes says."""
    answer = Exchange(portal.port, "/metrics", "Connection: close").read()
    assert answer.status == 200
    return {
        " ".join(
            [sample.name.removeprefix("spillway_"), *dict(sorted(sample.labels.items())).values()]
        ): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


@pytest.mark.timeout(300)
def test_every_process_answers_the_same_and_nothing_goes_with_one_that_dies(
    origin: Origin, tmp_path: Path
) -> None:
    def endless(_: Request, connection: Connection) -> None:
        connection.send(head("Transfer-Encoding: chunked") + chunks(b"abc", last=b""))
        connection.wait_for_peer_to_leave()

    ended = "downloads_total plain length complete"
    with running(tmp_path, origin, workers=2, SPILLWAY_TICK="1") as portal:
        for _ in range(12):
            portal.get(replying(length(b"0123456789")))
        portal.get(breaking((CUT, reset)))
        portal.get(honest, slug="parts")
        portal.get(replying(length(b"no", status="500 Oops")))
        assert until(lambda: scraped(portal).get("downloads_total plain  failed") == 1, 30)

        # Each request may meet either of the two.
        answers = [scraped(portal) for _ in range(8)]
        for told in answers:
            assert told[ended] == 13
            assert told["download_bytes_total plain"] == 120 + len(DATA)
            assert told["download_resumes_total plain"] == 1
            assert told["download_first_byte_seconds_count"] == 14
            assert told["segments_total"] > 4
            assert told["origin_requests_total http opened"] > 14 + 4
            # The other attempt of the two that a passing error gets.
            assert told["origin_requests_total http origin_status"] == 2
            assert told["downloads_unfinished_total origin_status failed"] == 1
            assert told["responses_total 5xx"] == 1
            # No worker was started.
            assert told["tick_age_seconds"] > 0

        under_way = portal.ask(origin.on(endless))
        under_way.read_head()
        assert until(lambda: scraped(portal).get("downloads_running plain") == 1, 30)
        victim = min(workers_of(portal))
        os.kill(victim, signal.SIGKILL)
        assert until(lambda: victim not in workers_of(portal) and len(workers_of(portal)) == 2, 60)
        assert until(lambda: scraped(portal)[ended] == 13, 60)
        portal.get(replying(length(b"0123456789")))
        assert until(lambda: scraped(portal)[ended] == 14, 30)
        under_way.sock.close()

        with working(portal.environment, tmp_path / "worker-log"):
            counted = "tasks_total success streams.tasks.advance_due"
            assert until(lambda: scraped(portal)[counted] > 1, 90)
            assert scraped(portal)["tick_age_seconds"] < 10
        assert until(lambda: scraped(portal)["tick_age_seconds"] > 2, 30)
