"""What a task carries along besides its id, and what is counted of it.

A message names the request and the span that it was sent in, so that the worker's lines in the log
and its spans can be found from there. Neither is needed: a tick has none.
"""

import logging
import time
from contextlib import ExitStack
from typing import Any

from celery import signals
from django.db import Error as DatabaseError

from portal import log, tracing
from streams.models import Figure, Figures, Tally

logger = logging.getLogger(__name__)

HEADER = "spillway"

# Of this process, by the task's id: what it is in, its span, and when it began.
_under_way: dict[str, tuple[ExitStack, tracing.Span | None, float]] = {}


@signals.before_task_publish.connect
def _tell(headers: Any = None, **_: Any) -> None:
    told = {"request_id": log.bound_value("request_id"), "traceparent": tracing.traceparent()}
    if headers is not None and any(told.values()):
        headers[HEADER] = {name: value for name, value in told.items() if value}


@signals.worker_process_init.connect
def _start(**_: Any) -> None:
    tracing.start()


@signals.worker_process_shutdown.connect
def _stop(**_: Any) -> None:
    tracing.stop()


@signals.task_prerun.connect
def _enter(task_id: str, task: Any, **_: Any) -> None:
    told = task.request.get(HEADER) or {}
    within = ExitStack()
    ids = {"task": task.name, "task_id": task_id}
    if told.get("request_id"):
        ids["request_id"] = told["request_id"]
    within.enter_context(log.bound(**ids))
    parent = told.get("traceparent", "")
    span = within.enter_context(tracing.span(task.name, {"task_id": task_id}, parent=parent))
    _under_way[task_id] = (within, span, time.monotonic())


@signals.task_postrun.connect
def _leave(task_id: str, task: Any, state: str | None = None, **_: Any) -> None:
    within, span, began = _under_way.pop(task_id)
    outcome = "success" if state == "SUCCESS" else "failure"
    if span:
        span.end(failure="" if outcome == "success" else "task_failed")
    with within:
        _count(task.name, outcome, time.monotonic() - began)


def _count(name: str, outcome: str, seconds: float) -> None:
    figures = Figures()
    figures.count(Figure.TASKS, name, outcome)
    figures.count(Figure.TASK_SECONDS, name, by=seconds)
    try:
        Tally.objects.add(figures)
    except DatabaseError as exc:
        logger.warning("task_not_counted", extra={"error": type(exc).__name__})
