"""Logs: one JSON object a line, on standard error, for machines and for `jq` (docs/logs.md)."""

import json
import logging
import logging.config
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

# Secrets that others put into what they say, each with what is written in its place.
_REDACTED = (
    # A share link or an API token: the part that is public, and the secret one.
    (re.compile(r"(?<![0-9a-f])([0-9a-f]{12})_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"), r"\1_***"),
    # What a mail leads to for who has lost a password.
    (re.compile(r"(/password/reset/[0-9A-Za-z]+)-[^\s/?#\"'<>\\]+"), r"\1-***"),
    # The password of a broker, a database or a mail server.
    (re.compile(r"://[^\s/?#@\"'<>\\]*@"), "://***@"),
    # Of an address, its query: a signature of AWS, a key of an origin.
    (re.compile(r"(://[^\s?\"'<>\\]*)\?[^\s\"'<>\\]+"), r"\1?***"),
    (re.compile(r"(?i)\b(bearer|basic) [a-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"(AWS4-HMAC-SHA256) [^\"'\\]+"), r"\1 ***"),
)

# What lines written here bear: which request, download, rotation or task it is.
_BOUND: ContextVar[Mapping[str, object]] = ContextVar("log_bound", default=MappingProxyType({}))

# At DEBUG these write down what they send: an environment with its secret, signed addresses,
# passwords. So they never get there, whatever SPILLWAY_LOG_LEVEL says.
_TALKATIVE = (
    "aiohttp", "allauth", "amqp", "asyncio", "boto3", "botocore", "celery", "django", "kombu",
    "opentelemetry", "redis", "requests", "requests_oauthlib", "s3transfer", "urllib3",
)  # fmt: skip

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def bind(**fields: object) -> None:
    """Has all lines bear these from now on, which are written by this task or by what it begins.

    For whatever has a task of its own, which ends with it.
    """
    _BOUND.set({**_BOUND.get(), **fields})


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """The same, for what is written within."""
    token = _BOUND.set({**_BOUND.get(), **fields})
    try:
        yield
    finally:
        _BOUND.reset(token)


def bound_value(name: str) -> str:
    """What is bound under this name; empty where nothing is."""
    return str(_BOUND.get().get(name, ""))


def redacted(text: str) -> str:
    """`text` without what looks like a secret of ours, or like one in an address."""
    for pattern, put in _REDACTED:
        text = pattern.sub(put, text)
    return text


class JSONFormatter(logging.Formatter):
    """A record as JSON: time, level, logger, event, what is bound, and whatever `extra` gave."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields |= _BOUND.get()
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        # What is not JSON is named by its type: a `repr` might tell more than a log should know.
        line = json.dumps(fields, default=lambda value: f"<{type(value).__name__}>")
        return redacted(line)


class WithoutExpectedCuts(logging.Filter):
    """Drops the server's traceback for a body that we cut on purpose: the relay said why."""

    def filter(self, record: logging.LogRecord) -> bool:
        exc = record.exc_info[1] if record.exc_info else None
        return not getattr(exc, "expected_cut", False)


def configure(level: str) -> None:
    """Sets up logging for every process of the product. `level` is `debug`, `info` and so on."""
    ours = level.upper()
    others = "INFO" if ours == "DEBUG" else ours
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
            "root": {"handlers": ["stderr"], "level": others},
            "loggers": {
                **{name: {"level": others} for name in _TALKATIVE},
                "django.request": {"level": "ERROR"},
                "portal": {"level": ours},
                "streams": {"level": ours},
                # Its line holds the query string, where an origin's own keys might stand.
                "uvicorn.access": {"handlers": [], "propagate": False},
            },
        }
    )
