"""Traces by OpenTelemetry, where its extra is installed and one of OTEL_* asks for them.

Otherwise nothing is imported, and `begin` and `span` cost a comparison (docs/tracing.md). What a
span bears is named here and by its callers, one by one: no address with a query, no header, no
message of an exception, which may hold anything.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import portal
from portal import log

logger = logging.getLogger(__name__)

Value = str | int | float | bool

# `opentelemetry.trace.Tracer`; None: there are no traces.
_tracer: Any = None
_provider: Any = None


class Span:
    """Something that takes its time, until it is told to end. It ends once."""

    __slots__ = ("_ended", "_span")

    def __init__(self, span: Any) -> None:
        self._span = span
        self._ended = False

    def make_current(self) -> None:
        """Has whatever this task begins from now on belong to it; for a task that ends with it."""
        from opentelemetry import context, trace

        context.attach(trace.set_span_in_context(self._span))
        log.bind(trace_id=f"{self._span.get_span_context().trace_id:032x}")

    def end(self, *, failure: str = "", **said: Value) -> None:
        """`failure` is a stable code, and makes it one that failed."""
        if self._ended:
            return
        self._ended = True
        self._span.set_attributes(_named(said))
        if failure:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR, failure)
        self._span.end()


def start() -> None:
    """Begins to trace in this process, if the environment asks for it."""
    global _tracer, _provider  # noqa: PLW0603 - of a process, as OpenTelemetry's own
    if _tracer is not None or not is_wanted():
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        # A cluster may set OTEL_* for everybody: that is no reason not to serve.
        logger.warning("tracing_not_installed", extra={"lock": "requirements/otel.txt"})
        return
    # What OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say comes first.
    ours = Resource({"service.name": "spillway", "service.version": portal.VERSION})
    given = OTELResourceDetector().detect()
    _provider = TracerProvider(resource=Resource.create().merge(ours).merge(given))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("spillway", portal.VERSION)
    logger.info("tracing_started")


def is_wanted() -> bool:
    """Whether the environment names a place for traces, and does not switch them off."""
    said = os.environ.get
    if (said("OTEL_SDK_DISABLED") or "").lower() == "true" or said(
        "OTEL_TRACES_EXPORTER"
    ) == "none":
        return False
    places = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(map(said, places)) or said("OTEL_TRACES_EXPORTER") == "otlp"


def stop() -> None:
    """Sends what has not been sent yet. May take seconds: not for an event loop."""
    global _tracer, _provider
    provider, _tracer, _provider = _provider, None, None
    if provider is not None:
        provider.shutdown()


def begin(name: str, said: Mapping[str, Value], *, caller: str = "") -> Span | None:
    """A span of what this task is at, which bears `said`; None where there are no traces.

    `caller` is the `traceparent` of whoever asks: a stranger. So it is linked to, and neither
    decides what is traced nor whose part this is.
    """
    if _tracer is None:
        return None
    return Span(_tracer.start_span(name, attributes=_named(said), links=_links(caller)))


@contextmanager
def span(name: str, said: Mapping[str, Value], *, parent: str = "") -> Iterator[Span | None]:
    """One that lasts as long as what is within, and that what is within belongs to.

    `parent` is the `traceparent` that one of our own processes has sent.
    """
    if _tracer is None:
        yield None
        return
    from opentelemetry import context, trace

    made = Span(_tracer.start_span(name, attributes=_named(said), context=_context(parent)))
    token = context.attach(trace.set_span_in_context(made._span))
    trace_id = f"{made._span.get_span_context().trace_id:032x}"
    try:
        with log.bound(trace_id=trace_id):
            yield made
    except BaseException as exc:
        made.end(failure=type(exc).__name__)
        raise
    finally:
        context.detach(token)
        made.end()


def traceparent() -> str:
    """What tells another process of ours which span this is; empty where there is none."""
    if _tracer is None:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


def _context(parent: str) -> Any:
    if not parent:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent})


def _links(caller: str) -> Any:
    if not caller:
        return None
    from opentelemetry import trace

    found = trace.get_current_span(_context(caller)).get_span_context()
    return [trace.Link(found)] if found.is_valid else None


def _named(said: Mapping[str, Value]) -> dict[str, Value]:
    return {f"spillway.{name}": value for name, value in said.items()}
