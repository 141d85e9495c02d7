"""The checks: pure functions of facts, each with an id that stays."""

from streams.doctor.checks import (
    accounts,
    bodies,
    endpoints,
    functions,
    gateways,
    identity,
    limits,
    portal,
    proxies,
    rotations,
    s3,
)
from streams.doctor.checks.check import (
    ALL,
    Check,
    Finding,
    Found,
    Severity,
    SkippedError,
    UnsureError,
)

__all__ = [
    "ALL",
    "Check",
    "Finding",
    "Found",
    "Severity",
    "SkippedError",
    "UnsureError",
    "accounts",
    "bodies",
    "endpoints",
    "functions",
    "gateways",
    "identity",
    "limits",
    "portal",
    "proxies",
    "rotations",
    "s3",
]
