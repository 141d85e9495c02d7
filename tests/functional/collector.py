"""A collector of OpenTelemetry's spans, over HTTP as OTLP has it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """`url` is what OTEL_EXPORTER_OTLP_ENDPOINT is to say."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        collected = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collected.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for body in list(self.bodies)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def said(span: Span) -> dict[str, Any]:
    """What it bears, without the names' common beginning."""
    return {
        one.key.removeprefix("spillway."): getattr(one.value, one.value.WhichOneof("value") or "")
        for one in span.attributes
    }


def seconds(span: Span) -> float:
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9


@contextmanager
def collecting() -> Iterator[Collector]:
    made = Collector()
    try:
        yield made
    finally:
        made.close()
