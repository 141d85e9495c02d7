"""What the audit log says of downloads."""

from streams import audit
from streams.models import Download, How


def begun(record: Download) -> audit.Event:
    """Its first byte is here."""
    return _event("download.began", record, {"status": str(record.status)})


def ended(record: Download) -> audit.Event:
    """However it ended."""
    details = {"outcome": str(record.state), "bytes": str(record.sent)}
    if record.reason:
        details["reason"] = record.reason
    return _event("download.ended", record, details)


def _event(action: str, record: Download, details: dict[str, str]) -> audit.Event:
    # Where nobody knows any more whose request it was, it still was one.
    source = record.source or audit.Source(How.WEB, "")
    details = {"download": str(record.pk), **details}
    if record.link:
        # Whoever it was, it need not have been the one who made the link.
        return audit.Event(action, record.slug, "", {**details, "link": record.link.key}, source)
    return audit.Event(action, record.slug, record.username, details, source)
