"""What the function writes for CloudWatch: one line of JSON per event."""

import json
import sys
import traceback
from typing import Any

# An error must fit into a trailer.
MESSAGE_LIMIT = 2000
STACK_LIMIT = 20


def log(event: str, **fields: object) -> None:
    """Writes `event`, a constant name, with its fields."""
    # In one write, so that the lines of several threads never mix.
    sys.stderr.write(json.dumps({"event": event} | fields) + "\n")
    sys.stderr.flush()


def report_of(exc: BaseException) -> dict[str, Any]:
    """An error in the form that Lambda takes."""
    return {
        # Goes into a header field too, where a class of another script could not stand.
        "errorType": type(exc).__name__.encode("ascii", "backslashreplace").decode(),
        "errorMessage": str(exc)[:MESSAGE_LIMIT],
        "stackTrace": traceback.format_tb(exc.__traceback__, limit=-STACK_LIMIT),
    }
