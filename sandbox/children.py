"""Child processes that cannot outlive the sandbox, even when it is killed outright."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1

# Loaded before any fork: between fork and exec there is no time to look for libraries.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def bound_to_parent(sig: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn`: the kernel sends `sig` to the child when its parent dies.

    The parent in this sense is the thread that forks: always the event loop's, which is the
    main thread. Off Linux nothing is arranged, and a child ends when its connection breaks.
    """
    parent = os.getpid()

    def arrange() -> None:
        if _libc is None:
            return
        _libc.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
        # The parent may have died before the call, and no signal would ever come.
        if os.getppid() != parent:
            os._exit(1)

    return arrange


async def end(process: asyncio.subprocess.Process, *, grace: float) -> None:
    """Ask the process to end, and after `grace` seconds kill its whole group."""
    if process.returncode is None:
        signal_group(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace)
    # Also after a clean end: what the process itself started may be running on.
    signal_group(process, signal.SIGKILL)
    await process.wait()


def signal_group(process: asyncio.subprocess.Process, sig: signal.Signals) -> None:
    """Signal the process and all that it started; each child here leads a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, sig)
