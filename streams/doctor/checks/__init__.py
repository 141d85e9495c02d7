"""The checks: pure functions of facts, each with an id that stays."""

from streams.doctor.checks import endpoints, functions, gateways, portal
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
    "endpoints",
    "functions",
    "gateways",
    "portal",
]
