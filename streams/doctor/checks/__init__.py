"""The checks: pure functions of facts, each with an id that stays."""

from streams.doctor.checks import (
    bodies,
    endpoints,
    functions,
    gateways,
    identity,
    portal,
    s3,
)
from streams.doctor.checks.check import ALL, Check, Finding, Found, Severity, SkippedError

__all__ = [
    "ALL",
    "Check",
    "Finding",
    "Found",
    "Severity",
    "SkippedError",
    "bodies",
    "endpoints",
    "functions",
    "gateways",
    "identity",
    "portal",
    "s3",
]
