"""The scheduler inside a worker."""

import time
from types import SimpleNamespace

import pytest
from celery.utils.timer2 import Timer

from portal import celery


class Ended:
    """A scheduler that has ended; one that is started anew is another one."""

    stopped = False

    def is_alive(self) -> bool:
        return False

    def stop(self) -> None:
        self.stopped = True


def test_one_that_is_stopped_with_its_worker_is_not_started_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(celery, "LOOK", 0.2)
    looked: list[object] = []
    monkeypatch.setattr(celery.KeptScheduler, "_look", lambda _, worker: looked.append(worker))
    beat = Ended()
    worker = SimpleNamespace(beat=beat, timer=Timer())
    step = celery.KeptScheduler(worker)

    step.start(worker)
    step.stop(worker)
    time.sleep(0.5)
    worker.timer.stop()

    assert beat.stopped
    assert not looked
