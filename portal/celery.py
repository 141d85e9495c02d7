"""The Celery application. A message is only a doorbell: what must happen is a database row."""

import logging
import os
from typing import Any

from celery import Celery, bootsteps, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

logger = logging.getLogger(__name__)

# Seconds between two looks at the scheduler.
LOOK = 5.0


class KeptScheduler(bootsteps.StartStopStep):
    """A scheduler inside a worker that has ended, as one that was killed, is started anew.

    Without one nothing is found that no message told of, and Celery does not look after it.
    """

    requires = ("celery.worker.components:Beat", "celery.worker.components:Timer")

    _looks: Any = None

    def start(self, parent: Any) -> None:
        if parent.beat:
            self._looks = parent.timer.call_repeatedly(LOOK, self._look, (parent,))

    def stop(self, parent: Any) -> None:
        if self._looks:
            # Or one that is stopped with its worker would be started anew, and outlive it.
            self._looks.cancel()
        if parent.beat:
            parent.beat.stop()

    def _look(self, worker: Any) -> None:
        if worker.beat.is_alive():
            return
        from celery.beat import EmbeddedService

        logger.error("scheduler_ended")
        worker.beat = EmbeddedService(
            worker.app, schedule_filename=worker.schedule_filename, scheduler_cls=worker.scheduler
        )
        worker.beat.start()


@signals.setup_logging.connect
def _keep_logging(**_: Any) -> None:
    """Celery sets up none where somebody hears this: ours is set up already (`portal.log`)."""


@signals.worker_init.connect
def _outlive_redis(**_: Any) -> None:
    """Has a worker that lost its Redis wait for it, whatever it was at.

    Where a task ends meanwhile, or has yet to be acknowledged, kombu 5.7 uses the channel that it
    has closed: an `AttributeError`, which no part of Celery takes for a lost connection, so that
    the worker ends. A message that is lost with it is found by the tick.
    """
    from kombu.transport import redis

    redis.Transport.connection_errors = (*redis.Transport.connection_errors, AttributeError)


app = Celery("spillway")
# Read when the first task is sent or the worker starts, and not while Django is being set up.
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(KeptScheduler)
