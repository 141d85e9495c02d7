"""What a load balancer is told."""

import contextlib
import socket
import time

import pytest
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
