"""AWS's rate limits are kept by all workers together, and its word on when to come again."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from django.db import connection

from sandbox.client import Sandbox
from streams.aws.account import Account
from streams.aws.failures import ControlError, PacedError, translated
from streams.models import CallBucket, Endpoint, Gateway, RotationState, Secret, SecretFunction
from streams.models.secrets import StoredAt
from streams.rotation import machine, pace
from streams.rotation.machine import Progress
from streams.rotation.pace import Rate
from streams.rotation.parts import calls, parts
from streams.rotation.plan import Parts, Plan
from streams.rotation.problems import LostLeaseError
from streams.rotation.run import Forgotten, Run, Wait, Waits
from streams.rotation.steps import Step
from streams.rotation.versions import NoVersions
from tests.functional.conftest import ROOT
from tests.rotation.rotating import migrated

ROLE = "arn:aws:iam::{}:role/{}"


def most_within(times: list[float], seconds: float) -> int:
    return max(sum(start <= at < start + seconds for at in times) for start in times)


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_get_no_more_than_the_rate() -> None:
    times: list[float] = []

    def work() -> None:
        for _ in range(3):
            pace.take("own eu-central-1 lambda", Rate(per_second=10, burst=4))
            times.append(time.monotonic())
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(times) == 12
    assert max(times) - min(times) > 0.7
    assert most_within(times, 0.5) <= 4 + 5 + 1


@pytest.mark.django_db
def test_after_a_throttled_call_nobody_calls_before_aws_wants_it() -> None:
    key, rate = "own eu-central-1 lambda", Rate(per_second=10, burst=4)
    pace.take(key, rate)
    begun = time.monotonic()
    pace.rest(key, rate, 0.6)
    # One that is told of a shorter while shortens no other's.
    pace.rest(key, rate, 0.1)

    pace.take(key, rate)

    assert time.monotonic() - begun >= 0.6
    pace.rest(key, rate, 86_400)
    with pytest.raises(PacedError) as caught:
        pace.take(key, rate)
    assert pace.LONGEST_REST - 1 < (caught.value.retry_after or 0) <= pace.LONGEST_REST


PROCESS = """
import time, django
django.setup()
from streams.rotation.pace import Rate, take
for _ in range(6):
    take("own eu-central-1 apigateway", Rate(per_second=4, burst=2))
    print(time.time(), flush=True)
"""


@pytest.mark.slow
def test_two_processes_share_one_bucket(tmp_path: Path) -> None:
    settings = migrated(tmp_path, Sandbox("http://127.0.0.1:1", 0, "eu-central-1"))
    settings["DJANGO_SETTINGS_MODULE"] = "portal.settings"
    command = [sys.executable, "-c", PROCESS]
    both = [
        subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]

    told = [process.communicate(timeout=60)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0]
    times = sorted(float(line) for text in told for line in text.split())
    assert len(times) == 12
    # Two are there at first; each of the others has come with time.
    assert times[-1] - times[0] >= (12 - 2) / 4 - 0.3
    assert most_within(times, 1.0) <= 2 + 4 + 1


@pytest.mark.django_db
def test_who_would_wait_too_long_comes_again_and_has_failed_at_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "PATIENCE", 0.0)
    pace.take("own eu-central-1 deployment", pace.DEPLOYMENT)
    with pytest.raises(PacedError) as caught:
        pace.take("own eu-central-1 deployment", pace.DEPLOYMENT)
    assert 4 < (caught.value.retry_after or 0) <= 5

    progress = Progress("admit")
    for _ in range(3 * machine.PATIENT_ATTEMPTS):
        progress = after(caught.value, progress)

    assert (progress.state, progress.attempts) == (RotationState.RUNNING, 0)
    assert 4 < progress.pause <= 5


class Refused(Step):
    """A step that AWS refuses."""

    name = "admit"

    def __init__(self, exc: ControlError) -> None:
        self.exc = exc

    def do(self, run: Run) -> Wait | None:
        raise self.exc

    def undo(self, run: Run) -> Wait | None:
        raise NotImplementedError


def after(exc: ControlError, progress: Progress) -> Progress:
    step = Refused(exc)
    run = Run("old", "new", Forgotten(), Waits(0, 0, 0), lambda: 0.0, lambda _: None)
    return machine.advance(progress, Plan([step], step.name), run)


@pytest.mark.parametrize(
    "told",
    [
        {"retryAfterSeconds": "37"},
        {"ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": "37"}}},
    ],
)
def test_awss_word_on_when_to_come_again_is_heeded(told: dict[str, object]) -> None:
    error = {"Error": {"Code": "TooManyRequestsException"}, **told}
    exc = translated("CreateDeployment", ClientError(error, "CreateDeployment"))  # type: ignore[arg-type]

    assert after(exc, Progress("admit")).pause == 37


def test_all_roles_of_an_account_share_its_limits_and_each_region_has_its_own(
    db: None,
) -> None:
    places: list[SecretFunction | Gateway | StoredAt] = [
        SecretFunction(region="eu-central-1", role_arn=ROLE.format("111111111111", "one")),
        SecretFunction(region="eu-central-1", role_arn=ROLE.format("111111111111", "two")),
        SecretFunction(region="eu-central-1", role_arn=ROLE.format("222222222222", "one")),
        SecretFunction(region="eu-west-1"),
        Gateway(region="eu-west-1"),
        StoredAt("orders", "eu-west-1", ""),
    ]
    for place in places:
        calls(Account(), place, lambda: None).before("GetThing")
    calls(Account(), Gateway(region="eu-west-1"), lambda: None).before("CreateDeployment")

    assert set(CallBucket.objects.values_list("key", flat=True)) == {
        "111111111111 eu-central-1 lambda",
        "222222222222 eu-central-1 lambda",
        "own eu-west-1 lambda",
        "own eu-west-1 apigateway",
        "own eu-west-1 secretsmanager",
        "own eu-west-1 deployment",
    }


def test_each_probe_renews_the_lease_and_none_is_made_without_it(secret: Secret) -> None:
    Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", auth="secret-header",
        secret=secret, url="http://127.0.0.1:1/",
    )  # fmt: skip
    renewed = 0

    def guard() -> None:
        nonlocal renewed
        renewed += 1
        if renewed == 3:
            raise LostLeaseError

    made = parts(secret, NoVersions(), Account(), guard, in_use="")
    assert isinstance(made, Parts)
    [probe] = made.probes
    for _ in range(2):
        probe.verdict("a-value")
    with pytest.raises(LostLeaseError):
        probe.verdict("a-value")
