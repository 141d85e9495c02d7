"""For load balancers: is this process alive, and can it serve?"""

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, JsonResponse
from kombu import Connection as BrokerConnection
from kombu.exceptions import OperationalError

from streams.delivery import engine


async def healthz(request: HttpRequest) -> JsonResponse:
    """The event loop turns."""
    return JsonResponse({"status": "alive"}, headers={"Cache-Control": "no-store"})


async def readyz(request: HttpRequest) -> JsonResponse:
    """Database and broker answer, and the process is not going down; 503 and the cause if not."""
    checks = {
        "database": await sync_to_async(_database_answers)(),
        "broker": await sync_to_async(broker_answers)(),
        "serving": not engine.current().draining,
    }
    ready = all(checks.values())
    return JsonResponse(
        {"status": "ready" if ready else "unavailable", "checks": checks},
        status=200 if ready else 503,
        headers={"Cache-Control": "no-store"},
    )


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM streams_endpoint LIMIT 1")
    except DatabaseError:
        return False
    return True


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
