"""What a load balancer is told."""

import contextlib
import socket
import time

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from streams.doctor.broker import broker_answers


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "never answers"])
@pytest.mark.parametrize("url", ["redis://127.0.0.1:{}/0", "amqp://127.0.0.1:{}//"])
def test_a_broker_that_is_away_is_not_waited_for(
    settings: Settings, url: str, silent: bool
) -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        settings.CELERY_BROKER_URL = url.format(listener.getsockname()[1])
        if not silent:
            listener.close()
        began = time.monotonic()

        assert not broker_answers()

    assert time.monotonic() - began < 15


@pytest.mark.django_db
def test_without_its_broker_it_is_alive_and_not_ready(client: Client, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"

    ready, alive = client.get("/readyz"), client.get("/healthz")

    assert (ready.status_code, alive.status_code) == (503, 200)
    assert ready.json()["checks"] == {"database": True, "broker": False, "serving": True}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_may_use_any_name(client: Client, settings: Settings, path: str) -> None:
    """They come to an address: of a container, a pod, a machine behind a load balancer."""
    settings.ALLOWED_HOSTS = ["exports.example.com"]
    # Over http, whatever users must come by.
    settings.SECURE_SSL_REDIRECT, settings.SECURE_REDIRECT_EXEMPT = True, ["^healthz$", "^readyz$"]

    assert client.get(path, headers={"host": "10.1.2.3:8000"}).status_code == 200
    assert client.get("/", headers={"host": "10.1.2.3:8000"}).status_code == 400
