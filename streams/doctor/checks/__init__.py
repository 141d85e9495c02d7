"""The checks: pure functions of facts, each with an id that stays."""

from streams.doctor.checks import (
    accounts,
    endpoints,
    functions,
    gateways,
    limits,
    portal,
    rotations,
)
from streams.doctor.checks.check import ALL, Check, Finding, Found, Severity, SkippedError

__all__ = [
    "ALL",
    "Check",
    "Finding",
    "Found",
    "Severity",
    "SkippedError",
    "accounts",
    "endpoints",
    "functions",
    "gateways",
    "limits",
    "portal",
    "rotations",
]
