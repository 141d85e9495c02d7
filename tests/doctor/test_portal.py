"""Faults of this installation, and of a plain server."""

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from streams.models import Channel, DriftCheck, Endpoint, Secret
from tests.doctor.conftest import doctor

pytestmark = pytest.mark.django_db(transaction=True)
VALUE = "value-" + "v" * 32


def _other_key(settings: Settings) -> None:
    with transaction.atomic():
        Secret.objects.create(name="orders").set_value(VALUE)
    Channel.objects.create(name="ops", kind="webhook", address="https://example.com", key=VALUE)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]


def _no_broker(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{port}/0"


def _no_worker(_: Settings) -> None:
    secret = Secret.objects.create(name="orders")
    DriftCheck.objects.create(secret=secret, due_at=timezone.now() - timedelta(hours=1))


def _debug(settings: Settings) -> None:
    settings.DEBUG = True


def _any_host(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]


def _not_its_own_host(settings: Settings) -> None:
    settings.BASE_URL = "https://exports.example.com"


FAULTS: list[tuple[str, Callable[[Settings], None], int]] = [
    ("portal-keys", _other_key, 1),
    ("portal-broker", _no_broker, 1),
    ("portal-scheduler", _no_worker, 1),
    ("portal-debug", _debug, 0),
    ("portal-hosts", _any_host, 0),
    ("portal-hosts", _not_its_own_host, 0),
]


def examined(*words: str) -> tuple[int, dict[str, Any]]:
    status, out, _ = doctor("--json", *words)
    assert VALUE not in out
    return status, json.loads(out)


@pytest.mark.parametrize(("identity", "break_it", "status"), FAULTS)
def test_exactly_that_fault_of_the_portal_is_found(
    settings: Settings, identity: str, break_it: Callable[[Settings], None], status: int
) -> None:
    break_it(settings)

    ended, told = examined()

    assert [finding["id"] for finding in told["findings"]] == [identity]
    assert (ended, told["ok"]) == (status, not status)


def test_each_value_that_no_key_decrypts_is_named(settings: Settings) -> None:
    _other_key(settings)

    _, told = examined()

    (finding,) = told["findings"]
    assert "orders version 1, the key of channel ops" in finding["sentence"]


@pytest.mark.parametrize("host", ["exports.example.com", ".example.com"])
def test_a_portal_that_answers_to_its_own_name_is_well(settings: Settings, host: str) -> None:
    settings.BASE_URL = "https://exports.example.com"
    settings.ALLOWED_HOSTS = [host]

    assert examined()[1]["findings"] == []


class Plain(http.server.BaseHTTPRequestHandler):
    """Knows neither ranges nor entity tags."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"a,b")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Quiet."""


@pytest.fixture
def plain() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_server_without_ranges_and_tags_is_no_error(plain: str) -> None:
    Endpoint.objects.create(slug="plain", title="Plain", kind="http", url=plain)

    status, told = examined("plain")

    (finding,) = told["findings"]
    assert (status, finding["id"], finding["severity"]) == (0, "not-resumable", "info")
    assert "does not honour byte ranges and it gives no strong ETag" in finding["sentence"]
