"""A portal's process that drives a rotation, forked from one that has imported what takes long.

Django and boto take longer to import than a rotation takes to run. What is forked has read no
setting yet.
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# What imports without Django's settings, and takes the time.
HEAVY = [
    "aiohttp", "boto3", "celery", "cryptography.fernet", "django.core.management",
    "django.db.models", "dj_database_url", "pydantic_settings", "pytest", "redis", "rich",
    "streams.aws.account", "streams.net.client", "streams.origins", "yaml", __name__,
]  # fmt: skip
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(HEAVY)
# To start a process also reaps those that have ended: their status is read once, by one of two
# threads, and the other one takes it for lost.
_in_turn = threading.Lock()


def started(
    environment: Mapping[str, str], words: Sequence[str], *, registry: Path | None, output: Path
) -> multiprocessing.process.BaseProcess:
    """`apply` of the registry, if it is given, and `rotate --wait`. All that it prints is added to
    `output`. Its exit code is 1 where it failed.
    """
    process = _forks.Process(target=_drive, args=(dict(environment), words, registry, str(output)))
    with _in_turn:
        process.start()
    return process


def ended(process: multiprocessing.process.BaseProcess, *, within: float) -> int | None:
    """Its exit code; None where it still runs after so many seconds."""
    deadline = time.monotonic() + within
    while True:
        with _in_turn:
            code = process.exitcode
        if code is not None or time.monotonic() > deadline:
            return code
        time.sleep(0.05)


def _drive(
    environment: dict[str, str], words: Sequence[str], registry: Path | None, output: str
) -> None:
    os.environ.clear()
    os.environ.update(environment, DJANGO_SETTINGS_MODULE="portal.settings")
    told = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(told, 1)
    os.dup2(told, 2)

    import django

    django.setup()
    from django.core.management import call_command

    if registry:
        call_command("apply", str(registry))
    call_command("rotate", "orders", "--wait", *words)
