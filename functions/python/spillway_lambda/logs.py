"""What the function writes for CloudWatch: one line of JSON per event."""

import json
import sys


def log(event: str, **fields: object) -> None:
    """Writes `event`, a constant name, with its fields."""
    print(json.dumps({"event": event} | fields), file=sys.stderr, flush=True)
