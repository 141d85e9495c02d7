"""How glibc's allocator is set for the web server."""

import os
import sys

# glibc gives each large chunk back to the kernel and takes it again, page fault by page fault: with
# these a chunked origin went from 273 to 1,005 MB/s.
MALLOC = {
    "MALLOC_TRIM_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
}


def ensure() -> None:
    """Starts this program again with glibc's thresholds set: they are read before Python runs."""
    missing = {name: value for name, value in MALLOC.items() if name not in os.environ}
    if missing and sys.platform == "linux":
        os.execve(  # noqa: S606 - this same program
            sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **missing}
        )
