"""What is told of downloads while they run: figures for `/metrics`, and spans where one traces.

Never for each chunk: when one has ended, when an origin is asked, and with the meter's tick.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from portal import log, tracing
from streams.models import Download, Figure, Figures, State
from streams.net.errors import OriginError
from streams.origins import Wanted

logger = logging.getLogger(__name__)


def begin(record: Download, kind: str, caller: str) -> None:
    """A download, whose body may take hours. `caller` is the client's `traceparent`.

    What the request's task does and begins from here on belongs to it.
    """
    log.bind(download=str(record.pk))
    record.request_id = log.bound_value("request_id")
    said = {
        "download": str(record.pk),
        "endpoint": record.slug,
        "kind": kind,
        "request_id": record.request_id,
    }
    span = tracing.begin("download", said, caller=caller)
    if span is not None:
        span.make_current()
    record.span = span


def end(record: Download) -> None:
    """Ends the span of a download, or of what was none: a HEAD, or one that nginx carries."""
    span, record.span = record.span, None
    if span is None:
        return
    went_well = record.state in {State.RUNNING, State.COMPLETE, State.REDIRECTED}
    span.end(
        failure="" if went_well else record.reason or record.state,
        state=str(record.state),
        status=record.status or 0,
        sent=record.sent,
        proof=str(record.proof),
        resumes=record.resumes,
        offloaded=record.offloaded,
    )


def figures_of(record: Download) -> Figures:
    """What counts of one that has ended, but for its bytes: those count as they are sent."""
    figures = Figures()
    state, proof = str(record.state), ""
    if record.state == State.COMPLETE:
        proof = str(record.proof)
    elif record.state != State.REDIRECTED:
        figures.count(Figure.UNFINISHED, state, record.reason)
    figures.count(Figure.DOWNLOADS, record.slug, state, proof)
    if record.resumes:
        figures.count(Figure.RESUMES, record.slug, by=record.resumes)
    # By clocks of two machines, where nginx or a worker says the end.
    if record.first_byte_at and record.state != State.REDIRECTED:
        waited = (record.first_byte_at - record.started_at).total_seconds()
        figures.observe(Figure.FIRST_BYTE, max(0.0, waited))
    if record.state == State.COMPLETE and record.finished_at:
        took = (record.finished_at - record.started_at).total_seconds()
        figures.observe(Figure.DURATION, max(0.0, took))
    return figures


@dataclass(frozen=True)
class Watch:
    """Is told of each request to the origin of one download. `kind` is that of the origin."""

    figures: Figures
    kind: str

    @contextmanager
    def asking(self, wanted: Wanted) -> Iterator[tracing.Span | None]:
        """One request, until its first bytes are here, or it is refused.

        The span that it gives lasts as long as what was opened: `Source` ends it.
        """
        span = tracing.begin("origin request", {"kind": self.kind, **_part(wanted)})
        outcome = "portal_error"
        try:
            yield span
            outcome = "opened"
        except OriginError as exc:
            outcome = exc.code
            raise
        except asyncio.CancelledError:
            outcome = "client_left"
            raise
        finally:
            self.figures.count(Figure.ORIGIN_REQUESTS, self.kind, outcome)
            told = {"kind": self.kind, "outcome": outcome, **_part(wanted)}
            logger.debug("origin_asked", extra=told)
            if span and outcome != "opened":
                span.end(failure=outcome)

    def segment(self) -> None:
        """One more is begun."""
        self.figures.count(Figure.SEGMENTS)


def _part(wanted: Wanted) -> dict[str, int]:
    asked = wanted.range
    named = {"first": asked.first, "last": asked.last} if asked else {}
    return {name: value for name, value in named.items() if value is not None}
