"""The checks: pure functions of facts, each with an id that stays."""

from streams.doctor.checks import endpoints, functions, gateways, portal, proxies
from streams.doctor.checks.check import ALL, Check, Finding, Found, Severity, SkippedError

__all__ = [
    "ALL",
    "Check",
    "Finding",
    "Found",
    "Severity",
    "SkippedError",
    "endpoints",
    "functions",
    "gateways",
    "portal",
    "proxies",
]
