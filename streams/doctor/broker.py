"""Whether the broker answers, and a worker behind it."""

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery
from django.conf import settings
from kombu import Connection as BrokerConnection
from kombu.exceptions import OperationalError

from streams.doctor.facts import Unread

# Seconds for an answer, and for which a message may wait in the embedded broker's folder.
PATIENCE = 2
WAIT = 60.0


def broker_answers() -> bool:
    """Whether it does, within seconds. The embedded one is a folder that can be written."""
    if folder := embedded_folder():
        return _is_usable(folder)
    try:
        with _connection() as broker:
            broker.ensure_connection(max_retries=1, timeout=PATIENCE)
    except (OperationalError, OSError):
        return False
    return True


def worker_answers() -> bool | Unread:
    """Whether a worker takes what the broker has, which must be one that answers."""
    if folder := embedded_folder():
        # Nobody can be asked by way of a folder; but what workers take, they take at once.
        if any(time.time() - since > WAIT for since in _waiting(folder)):
            return False
        return Unread("No message waits in the embedded broker, which would tell.")
    if settings.CELERY_BROKER_URL.startswith("sqs:"):
        return Unread("Nobody can be asked by way of SQS.")
    try:
        # Of the application that tasks are sent by, connections are kept, and wait for longer.
        with Celery("doctor", set_as_current=False, config_source=_quick()) as app:
            return bool(app.control.ping(timeout=PATIENCE))
    except (OperationalError, OSError):
        return Unread("The broker did not answer.")


def embedded_folder() -> Path | None:
    """Where the embedded broker keeps its messages; None where another one serves."""
    if not settings.CELERY_BROKER_URL.startswith("filesystem:"):
        return None
    return Path(settings.CELERY_BROKER_TRANSPORT_OPTIONS["data_folder_in"])


def _is_usable(folder: Path) -> bool:
    try:
        # As the broker itself does where somebody has removed it.
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)


def _waiting(folder: Path) -> list[float]:
    """When each message was sent."""
    sent = []
    for message in folder.glob("*.msg"):
        try:
            sent.append(message.stat().st_mtime)
        except FileNotFoundError:
            continue
    return sent


def _quick() -> dict[str, Any]:
    return {
        "broker_url": settings.CELERY_BROKER_URL,
        "broker_transport_options": _options(settings.CELERY_BROKER_URL),
        "broker_connection_timeout": PATIENCE,
        "broker_connection_retry": False,
    }


def _connection() -> BrokerConnection:
    url = settings.CELERY_BROKER_URL
    return BrokerConnection(
        url,
        connect_timeout=PATIENCE,
        transport=settings.CELERY_BROKER_TRANSPORT if url.startswith("sqs:") else None,
        transport_options=_options(url),
    )


def _options(url: str) -> dict[str, Any]:
    """Some take their time-outs here; without them, Redis would be waited for for ever."""
    if url.startswith("redis"):
        return {"socket_connect_timeout": PATIENCE, "socket_timeout": PATIENCE}
    if url.startswith("sqs:"):
        client = {"connect_timeout": PATIENCE, "read_timeout": PATIENCE}
        return {"client-config": client | {"retries": {"total_max_attempts": 1}}}
    return {}
