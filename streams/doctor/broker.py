"""Whether the broker answers, and a worker behind it."""

import os
import time
from pathlib import Path

from celery import current_app
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
    try:
        with _connection() as broker:
            return bool(current_app.control.ping(timeout=PATIENCE, connection=broker))
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


def _connection() -> BrokerConnection:
    url = settings.CELERY_BROKER_URL
    # Redis takes its time-outs here, and without them waits for ever.
    options = {"socket_connect_timeout": PATIENCE, "socket_timeout": PATIENCE}
    return BrokerConnection(
        url,
        connect_timeout=PATIENCE,
        transport_options=options if url.startswith("redis") else {},
    )
