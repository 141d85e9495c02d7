"""What a handler is called with: an event in payload format 2.0, and its context."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """What a handler may know of its invocation. The names are those of Lambda's own runtime."""

    aws_request_id: str
    invoked_function_arn: str
    deadline_ms: int
    function_name: str
    function_version: str
    memory_limit_in_mb: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""
        return max(0, self.deadline_ms - int(time.time() * 1000))


@dataclass(frozen=True)
class Invocation:
    event: Event
    context: Context


def method(event: Event) -> str:
    """The request's method; GET for an event that is no HTTP request (a direct invocation)."""
    try:
        return str(event["requestContext"]["http"]["method"])
    except (KeyError, TypeError):
        return "GET"


def headers(event: Event) -> dict[str, str]:
    """The request's header fields. Lambda writes their names in lower case."""
    fields = event.get("headers") or {}
    return {name: value for name, value in fields.items() if isinstance(value, str)}
