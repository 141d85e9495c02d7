"""Two hundred endpoints: how fast they are asked, how often AWS is, and what is told meanwhile."""

import json
import threading
import time
from collections import Counter
from typing import Any

import pytest

from streams.models import Endpoint, Gateway
from streams.rotation import engine, pace
from tests.doctor.conftest import Clinic, doctor
from tests.doctor.serving import Handler, send, serving
from tests.rotation.proxy import Call, Fault, Proxy

FILE = b"a,b\n1,2\n" * 10
# Seconds for which a server thinks, and how many exports there are of each kind.
THINKS = 0.25
PLAIN, GUARDED, INVOKED, GATEWAYS = 100, 50, 30, 20


class Recorder(Proxy):
    """When AWS was called, by service: the control plane alone."""

    def __init__(self, target: str) -> None:
        super().__init__(target, lambda: None)
        self.times: dict[str, list[float]] = {}

    def fault_of(self, call: Call) -> Fault | None:
        with self._lock:
            service = call.service.removesuffix("v2")
            if service != "other":
                self.times.setdefault(service, []).append(time.monotonic())
        return super().fault_of(call)


class Crowd:
    """A server that counts how many ask at a time."""

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, handler: Handler) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(THINKS)
        with self._lock:
            self._now -= 1
        send(handler, 200, FILE, ETag='"v1"')


def _register(clinic: Clinic, plain: str) -> None:
    """All that share a function share its one name, and each gateway is another stage."""
    Endpoint.objects.all().delete()
    guarded = {"kind": "function-url", "url": clinic.url, "auth": "secret-header"}
    invoked = {"kind": "lambda", "function": clinic.name, "region": clinic.aws.region}
    described: list[dict[str, Any]] = [
        {"kind": "http", "url": f"{plain}{number}"} for number in range(PLAIN)
    ]
    described += [guarded | {"secret": clinic.secret} for _ in range(GUARDED)]
    described += [invoked | {"auth": "sigv4", "secret": clinic.secret} for _ in range(INVOKED)]
    for number in range(GATEWAYS):
        made = clinic.aws.rest_api(
            clinic.name, clinic.url, "x-secret-header", clinic.value, stage=f"s{number}"
        )
        clinic.secret.gateways.create(
            type=Gateway.Type.REST, region=clinic.aws.region, api_id=made.api_id, method="GET",
            resource_id=made.resource_id, stage=made.stage, url=made.url,
        )  # fmt: skip
        described.append({"kind": "gateway", "url": made.url})
    for number, one in enumerate(described):
        Endpoint.objects.create(slug=f"export-{number:03}", title="An export", **one)


def _most_within(times: list[float], seconds: float) -> int:
    return max(sum(start <= at < start + seconds for at in times) for start in times)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_two_hundred_are_asked_some_at_a_time_and_aws_within_its_limits(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd, proxy = Crowd(), Recorder(clinic.aws.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    engine.account.cache_clear()
    with serving(crowd) as plain:
        _register(clinic, plain)
        status, out, err = doctor("--json")
    proxy.close()

    told = json.loads(out)
    assert {one["id"] for one in told["findings"]} == {"not-resumable"}
    assert len(told["findings"]) == PLAIN
    assert status == 0
    # Eight at a time, and not one after the other.
    assert crowd.most == 8
    # What is shared is read once: the function as the one that a secret is checked by, and as the
    # one that is invoked; and of each gateway, its stage for two facts.
    calls = Counter(call.name for call in proxy.calls if call.service != "other")
    by_service = {name: count for name, count in calls.items() if name.startswith("lambda:")}
    assert by_service["lambda:GetFunctionConfiguration"] == max(by_service.values()) == 2
    assert calls["apigateway:GetStage"] == max(calls.values()) == 2 * GATEWAYS
    assert calls["apigateway:GetIntegration"] == GATEWAYS
    # The bucket is full at first, and gets ten a second.
    times = proxy.times["apigateway"]
    for seconds in (1, 2, 4, times[-1] - times[0]):
        assert _most_within(times, seconds) <= pace.GATEWAY.burst + 10 * seconds + 1
    lines = [line for line in err.splitlines() if "looking at endpoint" in line]
    assert lines == [f"looking at endpoint export-{n:03} ({n + 1} of 200)" for n in range(200)]
