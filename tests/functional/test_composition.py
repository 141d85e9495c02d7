"""Parts of a portal on several machines are restarted and killed while downloads run."""

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.client import Answer
from tests.functional.composition import PIECE, Composition, Traffic, composed, steadily
from tests.functional.conftest import until
from tests.functional.nginx import PROGRAM
from tests.functional.origin import Connection, Origin, Request, Script, head
from tests.rotation.rotating import assert_in_order, assert_whole

WHOLE = PIECE * 40

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(PROGRAM is None, reason="needs the program nginx"),
]


@pytest.fixture
def portal(tmp_path: Path, origin: Origin) -> Iterator[Composition]:
    with composed(tmp_path, origin) as made:
        yield made


def test_nothing_is_lost_whatever_is_restarted(portal: Composition) -> None:
    with Traffic(portal).running() as traffic:
        portal.manage("rotate", "orders")
        upgrade(portal)
        restart_redis(portal)
        kill_a_worker(portal)
        so_far = len(traffic.answers)
        # Neither an upgrade nor a broker or a worker that is away costs anybody anything.
        assert Counter(map(outcome, traffic.answers)) == {"complete": so_far}
        assert portal.rotation()[1] == "running", "the rotation was over too soon"

        restart_the_database(portal)
        lost = kill_a_replica(portal)
        assert until(lambda: portal.rotation()[1] == "completed", 120), portal.rotation()
        # Users go on for a moment, so that what has come back is seen to serve.
        enough = len(traffic.answers) + 12
        assert until(lambda: len(traffic.answers) >= enough, 60)

    assert traffic.asked > 100
    assert traffic.refused == []
    assert_records(portal, [*traffic.answers, lost])
    assert_whole(portal.world)
    assert_in_order(portal.world)


def upgrade(portal: Composition) -> None:
    """One replica after the other goes down as operators take it down, and a new one comes."""
    for replica in portal.replicas:
        assert replica.terminate() == 0, replica.log.read_text()
        replica.start()
        # What nginx had begun goes on in its old process.
        portal.nginx.process.send_signal(signal.SIGHUP)


def restart_redis(portal: Composition) -> None:
    portal.redis.kill()
    assert until(portal.replicas[0].is_away)
    portal.redis.start()
    assert until(portal.replicas[0].is_ready, 20)


def kill_a_worker(portal: Composition) -> None:
    """The one that works at the rotation may be any of them: two of three die."""
    for worker in portal.workers[:2]:
        worker.kill()
    portal.workers[0].start()


def restart_the_database(portal: Composition) -> None:
    """What runs goes on meanwhile, also where the source breaks off; what asks is told to wait."""
    gone = threading.Event()
    running, breaks = portal.origin.on(steadily(6)), portal.origin.on(breaking_off_when(gone))
    held = portal.ask("plain", f"?case={running.name}")
    held.read_head()
    resumed = portal.ask("plain", f"?case={breaks.name}")
    assert resumed.more()

    portal.database.stop()

    for replica in portal.replicas:
        assert until(replica.is_away)
        assert replica.status("/healthz") == 200
        told = portal.ask("plain", port=replica.port).read()
        assert (told.status, told.value("retry-after")) == (503, "5")
    gone.set()
    answer = resumed.read()
    assert (answer.body, answer.end) == (WHOLE, "complete")
    portal.database.start()

    for replica in portal.replicas:
        assert until(replica.is_ready, 20), replica.log.read_text()
    assert portal.record(answer)["resumes"] == 1
    while len(held.rest()) < len(WHOLE) and held.more():
        pass
    assert held.rest() == WHOLE
    held.leave()


def breaking_off_when(gone: threading.Event) -> Script:
    """Breaks off in the middle then, and has the rest for who asks again."""

    def script(request: Request, connection: Connection) -> None:
        fields = ['ETag: "v1"', "Accept-Ranges: bytes"]
        if ranges := request.values("range"):
            first = int(ranges[0].removeprefix("bytes=").partition("-")[0])
            fields.append(f"Content-Range: bytes {first}-{len(WHOLE) - 1}/{len(WHOLE)}")
            fields.append(f"Content-Length: {len(WHOLE) - first}")
            connection.send(head(*fields, status="206 Partial Content") + WHOLE[first:])
        else:
            fields.append(f"Content-Length: {len(WHOLE)}")
            connection.send(head(*fields) + WHOLE[: len(WHOLE) // 2])
            gone.wait(30)
            connection.reset()

    return script


def kill_a_replica(portal: Composition) -> Answer:
    """What it carried is seen to be cut; the other one serves."""
    replica, case = portal.replicas[0], portal.origin.on(steadily(30))
    exchange = portal.ask("plain", f"?case={case.name}", port=replica.port)
    answer = exchange.read_head()
    stored = "select sent from streams_download where id = %s and sent > 0"
    assert until(lambda: portal.row(stored, answer.value("x-download-id")), 20)

    replica.kill()

    while exchange.more():
        pass
    assert len(exchange.rest()) < len(WHOLE)
    exchange.leave()
    case = portal.origin.on(steadily(0))
    assert portal.ask("plain", f"?case={case.name}").read().end == "complete"
    replica.start()
    return answer


def outcome(answer: Answer) -> str:
    """What the user sees."""
    if answer.status == 200:
        return "complete" if answer.end == "complete" else "cut"
    return f"refused with {answer.status}"


def assert_records(portal: Composition, answers: list[Answer]) -> None:
    """Each user has a whole file and a record that says so, or has seen the cut or the refusal."""
    states = {"complete": "complete", "cut": "interrupted"}
    seen = Counter(map(outcome, answers))
    assert set(seen) <= {"complete", "cut", "refused with 503"}, seen
    for answer in answers:
        if answer.status != 200:
            continue
        record = portal.record(answer, seconds=60)
        assert record["state"] == states[outcome(answer)], record
        if answer.end == "complete":
            assert answer.body == WHOLE
            assert record["sent"] == len(WHOLE)
        else:
            assert record["reason"] == "process_ended"
    assert portal.row("select count(*) from streams_download where state = 'running'") == {
        "count": 0
    }
