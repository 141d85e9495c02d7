"""Whether the broker answers."""

from django.conf import settings
from kombu import Connection as BrokerConnection
from kombu.exceptions import OperationalError


def broker_answers() -> bool:
    """Whether it does, within seconds."""
    url = settings.CELERY_BROKER_URL
    if url.startswith("filesystem:"):
        return True
    # Redis takes its time-outs here, and without them waits for ever.
    options = {"socket_connect_timeout": 2, "socket_timeout": 2} if url.startswith("redis") else {}
    try:
        with BrokerConnection(url, connect_timeout=2, transport_options=options) as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
    except (OperationalError, OSError):
        return False
    return True
