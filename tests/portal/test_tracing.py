"""Traces of rotations and tasks, and none where nobody asks for them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from portal import log, tracing
from portal.env import ROOT
from streams import tasks
from streams.aws.failures import DeniedError
from streams.models import Rotation
from streams.rotation import engine
from streams.rotation.plan import Plan
from streams.rotation.run import Run, Wait
from tests.functional.collector import Collector, collecting, said
from tests.rotation.conftest import aws, rotation, secret
from tests.rotation.refusing import OLD, RefusingAws

__all__ = ["aws", "rotation", "secret"]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """With traces in this process; they are sent by `tracing.stop`."""
    with collecting() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        tracing.start()
        try:
            yield made
        finally:
            tracing.stop()


@pytest.mark.django_db
def test_a_task_is_a_span_and_what_its_rotation_does_one_within(
    collector: Collector, aws: RefusingAws, rotation: Rotation
) -> None:
    tasks.advance_rotation.apply((rotation.pk,))
    tracing.stop()

    (task,) = collector.named("streams.tasks.advance_rotation")
    (plan,) = collector.named("rotation plan")
    assert (plan.trace_id, plan.parent_span_id) == (task.trace_id, task.span_id)
    assert said(plan) == {"rotation": rotation.pk, "secret": "orders", "mode": "overlap"}
    # AWS refuses everything.
    assert plan.status.message == "DeniedError"
    told = b"".join(collector.bodies)
    assert OLD.encode() not in told
    assert b"pytest" not in told.lower(), "neither arguments nor the environment of the process"


def test_a_message_names_the_request_and_the_span_that_it_was_sent_in(
    collector: Collector,
) -> None:
    before = set(messages())
    with log.bound(request_id="request-4711"), tracing.span("page", {}):
        assert tasks.ring(tasks.diagnose, 5)
        parent = tracing.traceparent()

    (sent,) = set(messages()) - before
    headers = json.loads(sent.read_text())["headers"]
    assert headers["spillway"] == {"request_id": "request-4711", "traceparent": parent}


def messages() -> Iterator[Path]:
    """Those that the embedded broker holds."""
    return (settings.STATE_DIR / "broker").glob("*.msg")


class Refused:
    """A step that AWS does not let it do."""

    name = "preflight"

    def do(self, run: Run) -> Wait | None:
        raise DeniedError

    undo = do


@pytest.mark.django_db
def test_each_turn_of_a_step_is_a_span(
    collector: Collector, rotation: Rotation, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Plan([Refused()], last_to_undo="preflight")
    monkeypatch.setattr(engine._Worker, "_plan", lambda _: steps)
    engine.advance(rotation.pk)
    tracing.stop()

    (step,) = collector.named("rotation step")
    assert said(step) == {
        "rotation": rotation.pk, "secret": "orders", "mode": "overlap", "step": "preflight",
        "back": False, "state": "stuck",
    }  # fmt: skip
    assert step.status.message == "step_failed"


@pytest.mark.django_db
def test_a_task_that_fails_is_a_span_that_failed_without_its_message(collector: Collector) -> None:
    tasks.send_notice.apply(("canary",))
    tracing.stop()

    (task,) = collector.named("streams.tasks.send_notice")
    assert task.status.code == 2
    assert not task.events
    assert b"canary" not in b"".join(collector.bodies)


OFF = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import portal.asgi
from portal import tracing
from streams import tasks
tracing.start()
assert tracing.begin("download", {}) is None
with tracing.span("step", {}) as span:
    assert span is None and tracing.traceparent() == ""
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
ABSENT = 'import sys; sys.modules["opentelemetry"] = None\n'


@pytest.mark.parametrize(
    ("given", "before"),
    [
        ({}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, ABSENT),
    ],
    ids=["not asked for", "switched off", "not installed"],
)
def test_without_traces_nothing_of_them_is_imported(
    given: dict[str, str], before: str, tmp_path: object
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", before + OFF],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={"SPILLWAY_STATE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin", **given},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ("['opentelemetry']" if before else "[]")
    assert ("tracing_not_installed" in done.stderr) == bool(before)
