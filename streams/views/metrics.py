"""`GET /metrics`: for Prometheus, and for nobody who comes by way of the public address."""

import hmac
import ipaddress

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import split_domain_port
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from streams.metrics.collecting import collect

# Whoever bears one of these has come through somebody else.
_PASSED_ON = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
              "X-Real-Ip", "X-Spillway-Front")  # fmt: skip


async def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics, in the text format of Prometheus or in OpenMetrics."""
    if (refusal := _refusal(request)) is not None:
        refusal["Cache-Control"] = "no-store"
        return refusal
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    # Of a thousand endpoints it is half a megabyte: no work for the event loop.
    body = await sync_to_async(lambda: encode(_Found(collect())))()
    return HttpResponse(body, content_type=content_type, headers={"Cache-Control": "no-store"})


class _Found(CollectorRegistry):
    """What was collected, in the form that encoders take."""

    def __init__(self, found: list[Metric]) -> None:
        super().__init__()
        self._found = found

    def collect(self) -> list[Metric]:
        return self._found


def _refusal(request: HttpRequest) -> JsonResponse | None:
    """None for whom the metrics are."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "").encode()
        if hmac.compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode()):
            return None
        hint = "Send what SPILLWAY_METRICS_TOKEN says: Authorization: Bearer <token>."
        error = {"code": "unauthorized", "message": "This is for Prometheus.", "hint": hint}
        challenge = {"WWW-Authenticate": 'Bearer realm="spillway metrics"'}
        return JsonResponse({"error": error}, status=401, headers=challenge)
    if _is_local(request):
        return None
    error = {"code": "not_found", "message": "There is no such page.", "hint": "Check the link."}
    return JsonResponse({"error": error}, status=404)


def _is_local(request: HttpRequest) -> bool:
    """Whether this machine itself asks, and by no proxy, which would ask for everybody."""
    if settings.SECURE_SSL_REDIRECT or any(name in request.headers for name in _PASSED_ON):
        return False
    host, _ = split_domain_port(request.headers.get("Host", ""))
    return _is_loopback(host.strip("[]")) and _is_loopback(request.META.get("REMOTE_ADDR", ""))


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
