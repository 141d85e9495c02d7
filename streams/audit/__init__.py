"""The audit log: append-only, chained and sealed. Whatever changes something records it here."""

from streams.audit.log import Event, append, record
from streams.audit.source import current, of_request
from streams.models import Source

__all__ = ["Event", "Source", "append", "current", "of_request", "record"]
