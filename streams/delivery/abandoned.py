"""Downloads whose process was killed: they end with what was known of them last."""

from datetime import datetime

from django.db import transaction
from django.db.models import F

from streams import audit
from streams.delivery import recorded, watching
from streams.models import Download, Figures, State, Tally


def interrupt(now: datetime | None = None) -> int:
    """Ends them; gives their number. May run at any time, and seldom writes."""
    if not Download.objects.abandoned(now).exists():
        return 0
    with transaction.atomic():
        rows = interrupted(now)
        figures = Figures()
        for row in rows:
            figures.merge(watching.figures_of(row))
        Tally.objects.add(figures)
        audit.append([recorded.ended(row) for row in rows])
    return len(rows)


def interrupted(now: datetime | None = None) -> list[Download]:
    """Ends them within a transaction, before whose end they are to be counted and told."""
    # Of two that look, one ends a row, and tells of it.
    rows = list(Download.objects.abandoned(now).select_for_update(skip_locked=True))
    if rows:
        Download.objects.filter(pk__in=[row.pk for row in rows]).update(
            state=State.INTERRUPTED, reason="process_ended", finished_at=F("seen_at")
        )
    for row in rows:
        row.state, row.reason = State.INTERRUPTED, "process_ended"
    return rows
