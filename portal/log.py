"""Logs: one JSON object a line, on standard error, for machines and for `jq`."""

import json
import logging
import logging.config
from datetime import UTC, datetime

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JSONFormatter(logging.Formatter):
    """A record as JSON: time, level, logger, event, and whatever `extra` gave."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        # What is not JSON is named by its type: a `repr` might tell more than a log should know.
        return json.dumps(fields, default=lambda value: f"<{type(value).__name__}>")


class WithoutExpectedCuts(logging.Filter):
    """Drops the server's traceback for a body that we cut on purpose: the relay said why."""

    def filter(self, record: logging.LogRecord) -> bool:
        exc = record.exc_info[1] if record.exc_info else None
        return not getattr(exc, "expected_cut", False)


def configure(*, debug: bool) -> None:
    """Sets up logging for every process of the product."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JSONFormatter}},
            "filters": {"expected": {"()": WithoutExpectedCuts}},
            "handlers": {
                "stderr": {
                    "class": "logging.StreamHandler",
                    "formatter": "json",
                    "filters": ["expected"],
                }
            },
            "root": {"handlers": ["stderr"], "level": "INFO"},
            "loggers": {
                "django.request": {"level": "ERROR"},
                "streams": {"level": "DEBUG" if debug else "INFO"},
                # Its line holds the query string, where an origin's own keys might stand.
                "uvicorn.access": {"handlers": [], "propagate": False},
            },
        }
    )
