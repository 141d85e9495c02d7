"""Faults of this installation, and of a plain server."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import transaction
from pytest_django.fixtures import Settings

from streams.doctor.broker import worker_answers
from streams.doctor.facts import PortalFacts
from streams.doctor.run import judged
from streams.models import Channel, Endpoint, Installation, Notice, Secret
from streams.tasks import advance_due, send_notice
from tests import clocks
from tests.doctor.conftest import doctor, messages_in
from tests.functional.brokers import broker
from tests.functional.conftest import until
from tests.notices.conftest import receiver
from tests.notices.receivers import Receiver

__all__ = ["receiver"]

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)
VALUE = "value-" + "v" * 32
MANIFEST = {
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
    }
}


def _other_key(settings: Settings) -> None:
    with transaction.atomic():
        Secret.objects.create(name="orders").set_value(VALUE)
    channel = Channel(name="ops", kind="webhook", key=VALUE)
    channel.lead_to("https://example.com")
    channel.save()
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]


def _no_broker(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{port}/0"


def _no_folder_for_messages(settings: Settings) -> None:
    folder = Path(tempfile.mkdtemp(dir=settings.STATE_DIR)) / "messages"
    folder.touch()
    messages_in(settings, folder)


def _no_tick(_: Settings) -> None:
    with clocks.moved(-HOUR):
        Installation.objects.here()


def _no_tick_any_more(_: Settings) -> None:
    with clocks.moved(-HOUR):
        Installation.objects.tick()


def _nobody_takes_messages(settings: Settings) -> None:
    folder = Path(tempfile.mkdtemp(dir=settings.STATE_DIR))
    messages_in(settings, folder)
    message = folder / "1_a.celery.msg"
    message.touch()
    os.utime(message, (time.time() - 120,) * 2)
    _work_is_left(settings)
    _no_tick(settings)


def _work_is_left(_: Settings) -> None:
    channel = Channel.objects.create(name="ops", kind="webhook", address="https://example.com")
    _nobody_tells(channel)


def _nobody_tells(channel: Channel) -> Notice:
    """What somebody has asked for an hour ago."""
    with clocks.moved(-HOUR):
        return Notice.objects.test(channel, by="ada")


def _debug(settings: Settings) -> None:
    settings.DEBUG = True


def _any_host(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]


def _not_its_own_host(settings: Settings) -> None:
    _behind_tls(settings, "https://127.0.0.2:1")


def _behind_tls(settings: Settings, url: str) -> None:
    settings.BASE_URL = url
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = True


def _tls_that_the_portal_does_not_know(settings: Settings) -> None:
    settings.BASE_URL = "https://localhost:1"


def _no_tls(settings: Settings) -> None:
    settings.BASE_URL = "http://0.0.0.0:1"
    settings.ALLOWED_HOSTS = ["0.0.0.0"]


def _static_files_that_nobody_collected(settings: Settings) -> None:
    settings.STATIC_ROOT = tempfile.mkdtemp(dir=settings.STATE_DIR)
    settings.STORAGES = MANIFEST


FAULTS: list[tuple[str, Callable[[Settings], None], int]] = [
    ("portal-keys", _other_key, 1),
    ("portal-broker", _no_broker, 1),
    ("portal-broker", _no_folder_for_messages, 1),
    ("portal-worker", _nobody_takes_messages, 1),
    ("portal-scheduler", _work_is_left, 1),
    ("portal-tick", _no_tick, 0),
    ("portal-tick", _no_tick_any_more, 0),
    ("portal-debug", _debug, 0),
    ("portal-hosts", _any_host, 0),
    ("portal-hosts", _not_its_own_host, 0),
    ("portal-https", _tls_that_the_portal_does_not_know, 1),
    ("portal-plain", _no_tls, 0),
    ("portal-static", _static_files_that_nobody_collected, 0),
]


PORTAL = PortalFacts(name="portal", about=frozenset({"portal"}), hosts=("localhost",))


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


def test_work_that_a_dead_scheduler_leaves_is_told_once_with_its_last_tick_until_it_is_done(
    settings: Settings, receiver: Receiver
) -> None:
    hook = Channel.objects.create(name="hook", kind="webhook", address=receiver.url)
    notice = _nobody_tells(hook)
    _no_tick_any_more(settings)

    _, told = examined()

    (finding,) = told["findings"]
    assert (finding["id"], finding["evidence"]) == (
        "portal-scheduler",
        ["last tick: 60 minutes ago"],
    )
    advance_due()
    send_notice(str(notice.pk))
    assert len(receiver.posts) == 1
    assert examined()[1]["findings"] == []


def test_a_tick_is_what_the_doctor_looks_for(settings: Settings) -> None:
    _no_tick_any_more(settings)

    advance_due()

    assert examined()[1]["findings"] == []


@pytest.mark.shows("portal-worker")
def test_a_broker_that_no_worker_listens_to(settings: Settings, tmp_path: Path) -> None:
    _no_tick(settings)
    redis = broker("redis", tmp_path / "redis")
    try:
        settings.CELERY_BROKER_URL = redis.url
        _, told = examined()
    finally:
        redis.kill()

    assert [finding["id"] for finding in told["findings"]] == ["portal-worker"]


@pytest.mark.slow
def test_a_worker_without_the_scheduler_is_told_from_none(
    settings: Settings, tmp_path: Path
) -> None:
    _no_tick(settings)
    redis = broker("redis", tmp_path / "redis")
    settings.CELERY_BROKER_URL, settings.CELERY_BROKER_TRANSPORT = redis.url, None
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "worker", "--concurrency", "1"],
        env=os.environ | {"CELERY_BROKER_URL": redis.url, "SPILLWAY_STATE_DIR": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert until(lambda: worker_answers() is True, 100)
        _, told = examined()
    finally:
        worker.terminate()
        worker.wait(20)
        redis.kill()

    assert [finding["id"] for finding in told["findings"]] == ["portal-tick"]


@pytest.fixture
def _an_older_database() -> Iterator[None]:
    call_command("migrate", "sessions", "zero", verbosity=0)
    yield
    call_command("migrate", verbosity=0)


@pytest.mark.shows("portal-migrations")
@pytest.mark.usefixtures("_an_older_database")
def test_a_database_that_lacks_a_migration_is_told_until_it_is_migrated_as_told() -> None:
    status, told = examined()

    (finding,) = told["findings"]
    assert (status, finding["id"]) == (1, "portal-migrations")
    assert finding["evidence"] == ["sessions.0001_initial"]
    assert finding["cli"] == ["manage.py migrate"]
    call_command("migrate", verbosity=0)
    assert examined()[1]["findings"] == []


@pytest.mark.parametrize("host", ["exports.example.com", ".example.com"])
def test_a_portal_that_answers_to_its_own_name_is_well(host: str) -> None:
    url = "https://exports.example.com"

    assert judged([replace(PORTAL, base_url=url, hosts=(host,), https=True)]).findings == []


def test_collected_files_are_found_until_one_is_gone(settings: Settings, tmp_path: Path) -> None:
    settings.STATIC_ROOT = str(tmp_path)
    settings.STORAGES = MANIFEST
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    call_command("collectstatic", interactive=False, verbosity=0)
    assert examined()[1]["findings"] == []

    next(tmp_path.glob("spillway/icon.*.svg")).unlink()

    (finding,) = examined()[1]["findings"]
    assert finding["evidence"] == ["spillway/icon.svg"]


@pytest.mark.shows("not-resumable")
def test_a_server_without_ranges_and_tags_is_no_error(plain: str) -> None:
    Endpoint.objects.create(slug="plain", title="Plain", kind="http", url=plain)

    status, told = examined("plain")

    (finding,) = told["findings"]
    assert (status, finding["id"], finding["severity"]) == (0, "not-resumable", "info")
    assert "does not honour byte ranges and it gives no strong ETag" in finding["sentence"]
