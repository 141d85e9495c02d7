"""Drives a rotation in this process, beside the workers if there are any."""

import time
from collections.abc import Callable

from streams.models import Rotation, RotationEvent
from streams.rotation import engine

# Seconds between two looks at a rotation that waits, or that another worker has.
LOOK = 0.25


def drive(rotation: Rotation, say: Callable[[str], None], *, seconds: float | None = None) -> None:
    """Until it ends or needs help, or `seconds` have passed; `rotation` is as the database has it.

    `say` hears its story.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    seen, waiting = 0, ""
    while True:
        engine.advance(rotation.pk)
        for event in RotationEvent.objects.filter(rotation=rotation, pk__gt=seen):
            seen = event.pk
            say(f"{event.at:%H:%M:%S} {event.step}: {event.text}")
        rotation.refresh_from_db()
        if rotation.waiting != waiting:
            waiting = rotation.waiting
            if waiting:
                say(f"         {rotation.step}: … {waiting}")
        if rotation.rests:
            return
        if deadline is not None and time.monotonic() > deadline:
            return
        time.sleep(LOOK)
