"""The facts that a figure needs beside it. Nothing here names the machine or a place on it."""

import importlib.metadata
import os
import platform
import re
import ssl
import subprocess
from pathlib import Path
from typing import Any

from bench.stacks.nginx import executable

PACKAGES = ("aiohttp", "django", "django-revproxy", "gunicorn", "requests", "uvicorn", "uvloop")


def facts() -> dict[str, Any]:
    """Cores, memory, kernel and the versions of everything that takes part."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        # Much above 0.1: something else was running, and the figures are worth less.
        "load_before": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "tcp_mem_pages": Path("/proc/sys/net/ipv4/tcp_mem").read_text().split(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "nginx": _nginx(),
        **{name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    match = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match[1] if match else platform.machine()


def _nginx() -> str | None:
    program = executable()
    if program is None:
        return None
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
    return said.rpartition("/")[2].strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
