"""What goes wrong meanwhile: one part after another is ended, killed or restarted."""

import random
import signal
import time
from collections.abc import Callable

from tests.functional.composition import Composition
from tests.functional.conftest import until

Mishap = Callable[[Composition, random.Random], None]


def name(mishap: Mishap) -> str:
    return mishap.__name__.replace("_", " ")


def replica_replaced(portal: Composition, dice: random.Random) -> None:
    """As an upgrade does it: it ends what it has begun, and ends by itself."""
    replica = dice.choice(portal.replicas)
    assert replica.terminate() == 0, replica.log.read_text()[-2000:]
    replica.start()


def replica_killed(portal: Composition, dice: random.Random) -> None:
    replica = dice.choice(portal.replicas)
    replica.kill()
    replica.start()


def worker_killed(portal: Composition, dice: random.Random) -> None:
    worker = dice.choice(portal.workers)
    worker.kill()
    worker.start()


def redis_restarted_empty(portal: Composition, dice: random.Random) -> None:
    portal.redis.kill()
    time.sleep(dice.uniform(0, 5))
    portal.redis.start()


def database_restarted(portal: Composition, dice: random.Random) -> None:
    portal.database.stop()
    time.sleep(dice.uniform(0, 3))
    portal.database.start()
    for replica in portal.replicas:
        assert until(replica.is_ready, 30), replica.log.read_text()[-2000:]


def nginx_reloaded(portal: Composition, _: random.Random) -> None:
    portal.nginx.process.send_signal(signal.SIGHUP)


ALL: tuple[Mishap, ...] = (
    replica_replaced, replica_killed, worker_killed, redis_restarted_empty, database_restarted,
    nginx_reloaded,
)  # fmt: skip
