"""For load balancers: is this process alive, and can it serve?"""

from asgiref.sync import sync_to_async
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, JsonResponse

from streams.delivery import engine
from streams.doctor.broker import broker_answers


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
