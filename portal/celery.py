"""The Celery application. A message is only a doorbell: what must happen is a database row."""

import logging
import os
from typing import Any

from celery import Celery, bootsteps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

logger = logging.getLogger(__name__)

# Seconds between two looks at the scheduler.
LOOK = 5.0


class KeptScheduler(bootsteps.StartStopStep):
    """A scheduler inside a worker that has ended, as one that was killed, is started anew.

    Without one nothing is found that no message told of, and Celery does not look after it.
    """

    requires = ("celery.worker.components:Beat", "celery.worker.components:Timer")

    def start(self, parent: Any) -> None:
        if parent.beat:
            parent.timer.call_repeatedly(LOOK, self._look, (parent,))

    def stop(self, parent: Any) -> None:
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


app = Celery("spillway")
# Read when the first task is sent or the worker starts, and not while Django is being set up.
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(KeptScheduler)
